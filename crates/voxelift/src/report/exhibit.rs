//! One subject in pictures: what went in, what came out, the reference, the errors, and what was added.

use std::borrow::Cow;

use voxelift_volume::Volume;
use voxelift_volume::audit::NullSpace;
use voxelift_volume::consistency::Disagreement;

use super::compare::Layer;
use super::page::Page;
use crate::picture::{Palette, Stacks, Window, absolute_error, short};

/// The volumes of one head.
#[derive(Clone, Debug)]
pub struct Exhibit {
    /// Whose head, or which file.
    pub name: String,
    /// The scan itself, where it is known.
    pub lr: Option<Volume>,
    /// What was made from it, the baseline first and the output last, on the reference's grid where there is one.
    pub images: Vec<(String, Volume)>,
    /// The reference, where it is known.
    pub hr: Option<Volume>,
    /// What the output holds beyond the scan's frequencies.
    pub added: Option<NullSpace>,
    /// How far images are from the scan, by their names.
    pub disagreements: Vec<(String, Disagreement)>,
    /// The output in tiles of another size.
    pub tiles: Option<TileDifference>,
}

/// The same output with two tile sizes: channel attention averages over a tile, so they differ.
#[derive(Clone, Debug)]
pub struct TileDifference {
    /// LR voxels along the tiles of the output, and of the other one.
    pub tiles: [usize; 2],
    /// The other output.
    pub other: Volume,
    /// `||other - output|| / ||output||`, over the mask of the scores.
    pub nrmse: f64,
    /// PSNR of the output and of the other one against the reference, in the mask.
    pub psnr_db: [f64; 2],
}

/// Bytes of all slices: in base64, and with the rest of the page, less than 5 MB.
const BUDGET: usize = 3_300_000;

/// Slices of a plane that are made to see how large they are.
const PROBED: usize = 5;

/// Slices of a plane; more are not scrolled through.
const MOST_SLICES: usize = 64;

/// One volume and how it is shown.
struct Picture<'a> {
    name: String,
    unit: &'static str,
    volume: Cow<'a, Volume>,
    window: Window,
    palette: Palette,
}

impl Picture<'_> {
    fn layer(&self, stacks: &Stacks) -> Layer {
        Layer {
            name: self.name.clone(),
            unit: self.unit,
            window: self.window,
            palette: self.palette,
            sheets: stacks.of(&self.volume, self.window, self.palette),
        }
    }
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
        self.show_within(page, 1.0);
    }

    /// As [`Exhibit::show`], in this share of the room that a page has for pictures.
    ///
    /// # Panics
    /// Without an image.
    pub fn show_within(&self, page: &mut Page, share: f64) {
        page.heading(&format!("One subject in pictures: {}", self.name));
        let pictures = self.pictures();
        let place = |name: &str| pictures.iter().position(|picture| picture.name == name);
        let baseline = place(&self.images[0].0).unwrap_or(0);
        let output = place(&self.images[self.images.len() - 1].0).unwrap_or(0);
        let begin = if baseline == output {
            [0, output]
        } else {
            [baseline, output]
        };
        let (stacks, layers) = self.stacked(&pictures, (share * BUDGET as f64) as usize);
        let apart = stacks.frames().map(|frame| match frame.depths_mm.as_slice() {
            [first, second, ..] => second - first,
            _ => 0.0,
        });
        let apart = apart.fold(0.0, f64::max);
        let mut how = "choose two pictures; drag the line between them, or a place of the crosshair. Each slider under a picture scrolls \
             its slices (the mouse wheel, too, once the picture has been clicked), and black and white set the window. Letters \
             name the subject's sides, from the file's affine: R right, L left, A front, P back, S crown, I foot. The view is \
             radiological, with the subject's left on the right; the button \"Neurological\" turns it over."
            .to_owned();
        if apart > 0.0 {
            how.push_str(&format!(
                " To keep the page small, slices stand up to {apart:.1} mm apart and hold 64 greys; `voxelift view` shows all of them in full."
            ));
        }
        how.push_str(" Grey pictures share one window.");
        if self.hr.is_some() {
            how.push_str(" Errors share one window too: black is none, brighter is worse.");
        }
        if self.added.is_some() {
            how.push_str(
                " \"Added\" is what the output holds that the scan did not measure (its part in the null space of k-space \
                 truncation; blue darker, orange brighter): detail in it is drawn, not seen.",
            );
            if self.hr.is_some() {
                how.push_str(" Where it is strong and the error beside it too, the model has invented; where the error is dark, it was right.");
            }
        }
        page.compare(&stacks, &layers, begin, &how);
        self.tell_disagreements(page);
        self.tell_added(page);
        self.tell_tiles(page);
    }

    /// As many slices as the page has room for.
    fn stacked(&self, pictures: &[Picture], budget: usize) -> (Stacks, Vec<Layer>) {
        let shown = self.hr.as_ref().unwrap_or(&self.images[self.images.len() - 1].1);
        let made = |most: usize| {
            let stacks = Stacks::through(shown, most);
            let layers: Vec<Layer> = pictures.iter().map(|picture| picture.layer(&stacks)).collect();
            let bytes: usize = layers.iter().flat_map(|layer| &layer.sheets).map(Vec::len).sum();
            (stacks, layers, bytes)
        };
        // A few slices say how many bytes one more of each plane takes.
        let (stacks, _, bytes) = made(PROBED);
        let counted = stacks.frames().map(|frame| frame.depths_mm.len());
        let mut slices = (budget / (bytes / counted.min().unwrap_or(1)).max(1)).clamp(1, MOST_SLICES);
        loop {
            let (stacks, layers, bytes) = made(slices);
            if bytes <= budget || slices == 1 {
                return (stacks, layers);
            }
            slices = (slices * budget / bytes).clamp(1, slices - 1);
        }
    }

    fn pictures(&self) -> Vec<Picture<'_>> {
        let output = &self.images[self.images.len() - 1].1;
        let window = Window::of(self.hr.as_ref().unwrap_or(output));
        let picture = |name: &str, volume, window, palette| Picture {
            name: name.to_owned(),
            unit: "(units of the scan)",
            volume,
            window,
            palette,
        };
        let grey = |name: &str, volume| picture(name, Cow::Borrowed(volume), window, Palette::Grey);
        let mut pictures: Vec<Picture> = self.lr.iter().map(|lr| grey("LR scan", lr)).collect();
        pictures.extend(self.images.iter().map(|(name, image)| grey(name, image)));
        if let Some(hr) = &self.hr {
            pictures.push(grey("Reference", hr));
            // Of the first baseline and of the output: those between would take the room of slices.
            let last = self.images.len() - 1;
            let ends = self
                .images
                .iter()
                .enumerate()
                .filter(|(i, _)| [0, last].contains(i));
            let comparable = ends
                .map(|(_, image)| image)
                .filter(|(_, image)| image.extent() == hr.extent());
            let errors: Vec<(String, Volume)> = comparable
                .map(|(name, image)| (format!("Error of {name}"), absolute_error(image, hr)))
                .collect();
            if let Some((_, first)) = errors.first() {
                let window = Window::of(first);
                let errors = errors.into_iter();
                pictures.extend(
                    errors.map(|(name, error)| picture(&name, Cow::Owned(error), window, Palette::Heat)),
                );
            }
        }
        if let Some(added) = &self.added {
            let window = Window::around_zero(&added.map);
            pictures.push(picture(
                "Added beyond the scan",
                Cow::Borrowed(&added.map),
                window,
                Palette::Signed,
            ));
        }
        if let Some(tiles) = &self.tiles
            && tiles.other.extent() == output.extent()
        {
            let difference = absolute_error(&tiles.other, output);
            let window = Window::of(&difference);
            let name = format!("Tile {} against {}", tiles.tiles[1], tiles.tiles[0]);
            pictures.push(picture(&name, Cow::Owned(difference), window, Palette::Heat));
        }
        pictures
    }

    fn tell_disagreements(&self, page: &mut Page) {
        for (name, found) in &self.disagreements {
            page.paragraph(&disagreement_in_words(name, found));
        }
    }

    fn tell_added(&self, page: &mut Page) {
        let Some(added) = &self.added else { return };
        page.paragraph(&format!(
            "Beyond the scan's frequencies the output holds {:.2} % of its energy: {} rms and {} at most, where white is {}. \
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
            "Tiles of {other} LR voxels in place of {own} change the output by {:.2} % (NRMSE over the brain), and its PSNR from \
             {psnr:.2} to {psnr_other:.2} dB: channel attention averages over a tile, so its size is part of the output.",
            100.0 * nrmse
        ));
    }
}

/// Images that differ by less than this of the scan are the same.
const AGREES: f64 = 1e-4;

fn disagreement_in_words(name: &str, found: &Disagreement) -> String {
    let percent = |share: f64| format!("{:.0} %", 100.0 * share);
    if found.residual < AGREES {
        return format!(
            "{name} agrees with its scan: brought back to the scan's grid it differs by less than {} % of the scan (root mean square).",
            100.0 * AGREES
        );
    }
    let [x, y, z] = found.largest_at;
    format!(
        "{name} disagrees with its scan: brought back to the scan's grid as the scan was made, it differs by {:.2} % of the scan (root \
         mean square). Of that, {} lies in the foreground and {} in the finer half of the frequencies that the scan measured; it \
         is largest at voxel {x}, {y}, {z} of the scan, {} in the scan's units.",
        100.0 * found.residual,
        percent(found.foreground),
        percent(found.finer_half),
        short(found.largest as f32),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disagreement_is_told_with_its_place() {
        let mut found = Disagreement {
            residual: 0.0123,
            finer_half: 0.75,
            foreground: 0.6,
            largest_at: [3, 4, 5],
            largest: 12.5,
        };
        let words = disagreement_in_words("model alone", &found);
        for part in [
            "model alone disagrees",
            "1.23 %",
            "60 % lies in the foreground",
            "75 % in the finer half",
            "3, 4, 5",
        ] {
            assert!(words.contains(part), "{words}");
        }
        found.residual = 1e-6;
        assert!(disagreement_in_words("model", &found).contains("model agrees with its scan"));
    }
}
