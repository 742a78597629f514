//! One head in pictures: what went in, what came out, what is true, what is wrong, what was added.

use voxelift_volume::Volume;
use voxelift_volume::audit::NullSpace;

use super::compare::Layer;
use super::page::Page;
use crate::picture::{Palette, Views, Window, absolute_error, short};

/// The volumes of one head.
#[derive(Clone, Debug)]
pub struct Exhibit {
    /// Whose head, or which file.
    pub name: String,
    /// The scan itself, where it is known.
    pub lr: Option<Volume>,
    /// What was made from it, the floor first and the answer last, on the truth's grid where there is one.
    pub images: Vec<(String, Volume)>,
    /// The truth, where it is known.
    pub hr: Option<Volume>,
    /// What the answer holds beyond the scan's frequencies.
    pub added: Option<NullSpace>,
    /// The answer in tiles of another size.
    pub tiles: Option<TileDifference>,
}

/// The same answer with two tile sizes: channel attention averages over a tile, so they differ.
#[derive(Clone, Debug)]
pub struct TileDifference {
    /// LR voxels along the tiles of the answer, and of the other one.
    pub tiles: [usize; 2],
    /// The other answer.
    pub other: Volume,
    /// `||other - answer|| / ||answer||`, over the mask of the scores.
    pub nrmse: f64,
    /// PSNR of the answer and of the other one against the truth, in the mask.
    pub psnr_db: [f64; 2],
}

impl Exhibit {
    /// Half a cycle a voxel of the scan, along its coarsest axis.
    ///
    /// # Units
    /// Cycles per mm.
    pub fn lr_nyquist(&self) -> Option<f64> {
        let spacing = self.lr.as_ref()?.geometry().spacing_mm();
        Some(0.5 / spacing.into_iter().fold(0.0, f64::max))
    }

    /// Adds the pictures and what is to be said of them.
    ///
    /// # Panics
    /// Without an image.
    pub fn show(&self, page: &mut Page) {
        page.heading(&format!("One head in pictures: {}", self.name));
        let layers = self.layers();
        let place = |name: &str| layers.iter().position(|layer| layer.name == name);
        let floor = place(&self.images[0].0).unwrap_or(0);
        let answer = place(&self.images[self.images.len() - 1].0).unwrap_or(0);
        let begin = if floor == answer {
            [0, answer]
        } else {
            [floor, answer]
        };
        let mut how = "choose two pictures and move the line between them (drag it, or the slider with the arrow keys); rows or \
             columns are an axial, a coronal and a sagittal plane, the subject's left at the left. Grey pictures share \
             one window."
            .to_owned();
        if self.hr.is_some() {
            how.push_str(" Errors share one window too: black is none, brighter is worse.");
        }
        if self.added.is_some() {
            how.push_str(
                " \"Added\" is what the answer holds that the scan did not measure (its part in the null space of k-space \
                 truncation; blue darker, orange brighter): detail in it is drawn, not seen.",
            );
            if self.hr.is_some() {
                how.push_str(" Where it is strong and the error beside it too, the model has invented; where the error is dark, it was right.");
            }
        }
        page.compare(&layers, begin, &how);
        self.tell_added(page);
        self.tell_tiles(page);
    }

    fn layers(&self) -> Vec<Layer> {
        let answer = &self.images[self.images.len() - 1].1;
        let shown = self.hr.as_ref().unwrap_or(answer);
        let (views, window) = (Views::through(shown), Window::of(shown));
        let layer = |name: &str, volume: &Volume, window: Window, palette: Palette| Layer {
            name: name.to_owned(),
            window: format!("{} to {}", short(window.black), short(window.white)),
            views: views.of(volume, window, palette),
        };
        let grey = |name: &str, volume: &Volume| layer(name, volume, window, Palette::Grey);
        let mut layers: Vec<Layer> = self.lr.iter().map(|lr| grey("LR scan", lr)).collect();
        layers.extend(self.images.iter().map(|(name, image)| grey(name, image)));
        if let Some(hr) = &self.hr {
            layers.push(grey("HR truth", hr));
            let comparable = self
                .images
                .iter()
                .filter(|(_, image)| image.extent() == hr.extent());
            let errors: Vec<(String, Volume)> = comparable
                .map(|(name, image)| (format!("Error of {name}"), absolute_error(image, hr)))
                .collect();
            if let Some((_, first)) = errors.first() {
                let window = Window::of(first);
                layers.extend(
                    errors
                        .iter()
                        .map(|(name, error)| layer(name, error, window, Palette::Heat)),
                );
            }
        }
        if let Some(added) = &self.added {
            let window = around_zero(&added.map);
            layers.push(layer(
                "Added beyond the scan",
                &added.map,
                window,
                Palette::Signed,
            ));
        }
        if let Some(tiles) = &self.tiles
            && tiles.other.extent() == answer.extent()
        {
            let difference = absolute_error(&tiles.other, answer);
            let window = Window::of(&difference);
            let name = format!("Tile {} against {}", tiles.tiles[1], tiles.tiles[0]);
            layers.push(layer(&name, &difference, window, Palette::Heat));
        }
        layers
    }

    fn tell_added(&self, page: &mut Page) {
        let Some(added) = &self.added else { return };
        page.paragraph(&format!(
            "Beyond the scan's frequencies the answer holds {:.2} % of its energy: {} rms and {} at most, where white is {}. \
             The option --audit of upscale also says how far the mirrorings of the scan agree on it.",
            100.0 * added.energy,
            short(added.rms as f32),
            short(added.largest as f32),
            short(Window::of(self.hr.as_ref().unwrap_or(&self.images[0].1)).white),
        ));
    }

    fn tell_tiles(&self, page: &mut Page) {
        let Some(TileDifference {
            tiles: [own, other],
            nrmse,
            psnr_db: [psnr, psnr_other],
            ..
        }) = &self.tiles
        else {
            return;
        };
        page.paragraph(&format!(
            "Tiles of {other} LR voxels in place of {own} change the answer by {:.2} % (NRMSE in the mask), and its PSNR from \
             {psnr:.2} to {psnr_other:.2} dB: channel attention averages over a tile, so its size is part of the answer.",
            100.0 * nrmse
        ));
    }
}

/// A window of both signs, white and black where the largest values are.
fn around_zero(map: &Volume) -> Window {
    let magnitudes = Volume::new(
        map.data().iter().map(|v| v.abs()).collect(),
        map.geometry().clone(),
    );
    let white = Window::of(&magnitudes).white;
    Window { black: -white, white }
}
