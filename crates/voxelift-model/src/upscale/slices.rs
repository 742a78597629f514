//! A scan of thick slices made finer by a network for slices: one that learns from them, or has learned before. Slices that a scanner
//! interpolated are taken as they were acquired.

use std::borrow::Cow;
use std::sync::atomic::AtomicBool;

use burn::tensor::Device;
use voxelift_conv::computing_in;
use voxelift_volume::consistency::{Acquired, Protocol};
use voxelift_volume::intensity::Normalization;
use voxelift_volume::interleave::Interleaving;
use voxelift_volume::nifti::Header;
use voxelift_volume::target::Target;
use voxelift_volume::{Geometry, Volume};

use super::error::Result;
use super::event::Event;
use super::guard;
use super::interpolated::AcquiredSlices;
use super::place::{Place, check_memory};
use super::profile;
use crate::device::Computing;
use crate::self_learning::{
    Applied, Keeping, Learned, LearningConfig, Length, Lesson, START_SCALES, SelfModel, SliceProtocol, apply,
    baseline, gaussian, learn, thick_axis,
};

/// What is wished for of fine slices.
#[derive(Clone, Debug)]
pub struct SliceWishes {
    /// The finer grid; none for voxels as long in each direction as in plane.
    pub target: Option<Target>,
    /// What made the slices.
    pub acquired: Acquired,
    /// Whether slices that alternate in brightness are left so, in place of being evened out.
    pub keeps_bands: bool,
    /// How learning goes on.
    pub learning: LearningConfig,
    /// Whether the network is applied where it gains nothing on slices of the scan itself.
    pub may_gain_nothing: bool,
    /// Whether a map is wanted of how far the two orientations of a network differ.
    pub orientations: bool,
    /// Bytes that the whole program may take.
    pub memory: Option<u64>,
    /// The most voxels of an output.
    pub max_voxels: u64,
}

impl Default for SliceWishes {
    fn default() -> Self {
        Self {
            target: None,
            acquired: Acquired::Auto,
            keeps_bands: false,
            learning: LearningConfig::default(),
            may_gain_nothing: false,
            orientations: false,
            memory: None,
            max_voxels: 1 << 31,
        }
    }
}

/// Makes scans of thick slices finer.
#[derive(Debug)]
pub struct SliceUpscaler {
    wishes: SliceWishes,
    device: Device,
}

/// One scan of thick slices on its way to a finer grid.
#[derive(Debug)]
pub struct SliceUpscaling<'a> {
    upscaler: &'a SliceUpscaler,
    protocol: SliceProtocol,
    place: Place,
    /// What the scan was before its scanner interpolated, where it did.
    acquired: Option<AcquiredSlices>,
}

/// Fine slices on their grid, and remarks about them.
#[derive(Clone, Debug)]
pub struct FineSlices {
    /// The volume.
    pub image: Volume,
    /// How the slices of the scan alternated in brightness, which was evened out; none where they did not, or were to be left so.
    pub evened: Option<Interleaving>,
    /// What the network did; none where it gains nothing and a baseline is applied.
    pub by_network: Option<ByNetwork>,
}

/// What a network for slices did.
#[derive(Clone, Debug)]
pub struct ByNetwork {
    /// Half the difference of its two orientations, on the grid of the output, where that is wanted.
    pub orientations: Option<Volume>,
    /// The root mean square of that over the foreground's peak, where the scan has one.
    pub orientations_differ: Option<f64>,
    /// The scan's noise, its standard deviation.
    pub noise_sigma: f64,
    /// The mean weight of what the scan measured.
    pub consistency_weight: f64,
}

impl SliceUpscaler {
    /// # Errors
    /// When the device is not there, or does not compute in the number format.
    pub fn new(computing: Computing, wishes: SliceWishes) -> Result<Self> {
        let (device, _) = computing.open()?;
        Ok(Self { wishes, device })
    }

    /// Whether a scan is one volume of thick slices of a distance that the built-in network for slices knows.
    pub fn suits(scan: &Geometry, frames: usize) -> bool {
        let protocol = SliceProtocol::new(scan, gaussian(1.0), String::new());
        frames == 1 && protocol.is_ok_and(|protocol| START_SCALES.contains(&protocol.scale))
    }

    /// Whether a scan is one volume of what were slices of such a distance before its scanner interpolated.
    pub fn suits_as_acquired(scan: &Volume, frames: usize) -> bool {
        AcquiredSlices::of(scan)
            .is_some_and(|acquired| Self::suits(&scan.geometry().with_extent(acquired.extent), frames))
    }

    /// The grid that is asked for; none for voxels as long in each direction as in plane.
    pub fn target(&self) -> Option<&Target> {
        self.wishes.target.as_ref()
    }

    /// Where it computes.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// How learning goes on.
    pub fn learning(&self) -> &LearningConfig {
        &self.wishes.learning
    }

    /// Whether nothing is learned, and the built-in network is applied as it is.
    pub fn learns_nothing(&self) -> bool {
        self.wishes.learning.length == Length::Steps(0)
    }

    /// One volume of thick slices on a finer grid, by what is learned from it.
    ///
    /// # Errors
    /// For a scan without thick slices, and one without contrast.
    pub fn run(&self, scan: &Volume, hear: &mut dyn FnMut(Event)) -> Result<FineSlices> {
        let upscaling = self.plan(scan, &Protocol::default(), None, 1, hear)?;
        let never = AtomicBool::new(false);
        match upscaling.learn(
            &upscaling.lesson(&upscaling.as_acquired(scan), &[]),
            None,
            &never,
            hear,
        )? {
            Learned::Done(model) => upscaling.run(&model, scan, hear),
            Learned::Interrupted { .. } => unreachable!("nobody asked it to stop"),
        }
    }

    /// How the slices of a scan alternate in brightness, and the scan without that; none where they do not, or are to be left so.
    fn evened(&self, scan: &Volume) -> Result<Option<(Interleaving, Volume)>> {
        let axis = thick_axis(scan.geometry())?;
        let found = match self.wishes.keeps_bands {
            true => None,
            false => Interleaving::of(scan, axis)?,
        };
        Ok(match found {
            Some(found) => {
                let even = found.evened(scan)?;
                Some((found, even))
            }
            None => None,
        })
    }

    /// How a scan of `frames` volumes, `first` the first of them, is made finer; by a model that was learned before, where there
    /// is one. `beside` is what goes with the scan and says how it was made.
    ///
    /// # Errors
    /// For a scan without thick slices, statements that do not go with it, and where memory does not hold it.
    pub fn plan(
        &self,
        first: &Volume,
        beside: &Protocol,
        model: Option<&SelfModel>,
        frames: usize,
        hear: &mut dyn FnMut(Event),
    ) -> Result<SliceUpscaling<'_>> {
        if self.learns_nothing() {
            guard::refuse_ct(first)?;
            guard::refuse_spikes(first)?;
            guard::refuse_labels(first)?;
        } else {
            if let Some(spikes) = Normalization::of(first)?.spikes_in_words(first) {
                hear(Event::Warning(format!("{spikes}: it spreads over the output")));
            }
            guard::warn_of_labels(first, hear);
        }
        let learned = model.map(|model| &model.card.protocol);
        let (file, acquired) = (first.geometry(), AcquiredSlices::of(first));
        let first = acquired.map_or(Cow::Borrowed(first), |acquired| {
            Cow::Owned(acquired.slices(first))
        });
        let is_known = learned.is_some() || self.wishes.acquired != Acquired::Auto;
        let protocol = match acquired {
            Some(acquired) if !is_known => acquired.protocol(file)?,
            _ => {
                let evened = self.evened(&first)?;
                let even = evened.as_ref().map_or(&*first, |(_, even)| even);
                profile::protocol(&self.wishes.acquired, learned, even, beside, hear)?
            }
        };
        if let Some(learned) = learned {
            protocol.check_same(learned)?;
        }
        check_memory(self.wishes.memory, first.geometry(), &protocol)?;
        let as_fine = acquired.map(|acquired| acquired.target(file));
        let (target, most) = (
            self.wishes.target.as_ref().or(as_fine.as_ref()),
            self.wishes.max_voxels,
        );
        Ok(SliceUpscaling {
            place: Place::new(target, file, &protocol, frames, most)?,
            upscaler: self,
            protocol,
            acquired,
        })
    }
}

impl SliceUpscaling<'_> {
    /// What is thick in the scan, and by which profile.
    pub fn protocol(&self) -> &SliceProtocol {
        &self.protocol
    }

    /// A volume of the scan as slices, where the scanner interpolated them; others as they are.
    pub fn as_acquired<'b>(&self, volume: &'b Volume) -> Cow<'b, Volume> {
        match self.acquired {
            Some(acquired) => Cow::Owned(acquired.slices(volume)),
            None => Cow::Borrowed(volume),
        }
    }

    /// Whether the scanner interpolated the slices, so that the grid of the file has no thick axis.
    pub fn is_interpolated(&self) -> bool {
        self.acquired.is_some()
    }

    /// The grid of the output.
    pub fn grid(&self) -> &Geometry {
        &self.place.grid
    }

    /// The header of the output.
    pub fn header(&self, input: &Header) -> Header {
        self.place.header(input)
    }

    /// What is learned from: the scan, [as it was acquired](Self::as_acquired), and others whose slices teach it too.
    pub fn lesson<'a>(&'a self, scan: &'a Volume, others: &'a [Volume]) -> Lesson<'a> {
        Lesson {
            others,
            ..Lesson::of(scan, &self.protocol)
        }
    }

    /// What is learned from a lesson, as [`learn`].
    ///
    /// # Errors
    /// As [`learn`].
    pub fn learn(
        &self,
        lesson: &Lesson<'_>,
        keeping: Option<&Keeping>,
        stop: &AtomicBool,
        hear: &mut dyn FnMut(Event),
    ) -> Result<Learned> {
        let (config, device) = (self.upscaler.learning(), &self.upscaler.device);
        let mut sink = |event| {
            hear(Event::Learning(event));
            Ok(())
        };
        Ok(learn(lesson, config, keeping, device, stop, &mut sink)?)
    }

    /// Whether a network is applied: where it gains on slices of the scan itself, or need not.
    pub fn applies(&self, model: &SelfModel) -> bool {
        gains(model) || self.upscaler.wishes.may_gain_nothing
    }

    /// The baseline that is written in the place of a network that is not applied: the best on slices of the scan itself.
    pub fn instead<'b>(&self, model: &'b SelfModel) -> Option<&'b str> {
        let test = model.card.self_test.as_ref();
        test.filter(|_| !self.applies(model))
            .map(|test| test.best_baseline.as_str())
    }

    /// One volume of the scan on the finer grid.
    ///
    /// # Errors
    /// For a volume without contrast, and an output that the scan cannot explain.
    pub fn run(&self, model: &SelfModel, scan: &Volume, hear: &mut dyn FnMut(Event)) -> Result<FineSlices> {
        let (file, scan) = (scan, self.as_acquired(scan));
        let evened = self.upscaler.evened(&scan)?;
        let scan = evened.as_ref().map_or(&*scan, |(_, even)| even);
        if let Some(name) = self.instead(model) {
            let image = self.place.placed(baseline(name, scan, &self.protocol)?);
            return Ok(FineSlices {
                image,
                evened: evened.map(|(found, _)| found),
                by_network: None,
            });
        }
        let device = &self.upscaler.device;
        let products = self.upscaler.learning().precision.products(device);
        let mut planes = |done, of| {
            hear(Event::Planes { done, of });
            Ok(())
        };
        let applied: Applied = computing_in(products, || {
            apply(&model.network, scan, &self.protocol, device, &mut planes)
        })?;
        let peak = Normalization::of(scan).ok().map(|scale| f64::from(scale.factor));
        let differ = peak.map(|peak| applied.disagreement_rms() / peak);
        let wanted = self.upscaler.wishes.orientations;
        let image = match (self.acquired, &evened) {
            (Some(acquired), None) => acquired.put_back(&applied.image, file)?,
            _ => applied.image,
        };
        guard::check(&image, scan, None, hear)?;
        Ok(FineSlices {
            by_network: Some(ByNetwork {
                orientations_differ: differ,
                noise_sigma: applied.noise_sigma,
                consistency_weight: applied.consistency_weight,
                orientations: wanted.then(|| self.place.placed(applied.disagreement)),
            }),
            image: self.place.placed(image),
            evened: evened.map(|(found, _)| found),
        })
    }
}

/// Whether a network gains over the best baseline on slices of the scan itself, as far as that was tested.
pub fn gains(model: &SelfModel) -> bool {
    model.card.self_test.as_ref().is_none_or(|test| test.gains())
}
