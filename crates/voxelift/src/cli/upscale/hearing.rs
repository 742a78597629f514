//! What is heard while a scan is made finer, on the terminal.

use std::path::Path;

use voxelift_model::infer::MIRRORINGS;
use voxelift_model::self_learning;
use voxelift_model::upscale::{Doubt, Event};
use voxelift_volume::nifti::Header;
use voxelift_volume::sidecars;
use voxelift_volume::words::number;

use crate::terminal::{Progress, Terminal};

/// What to do where the thickness of slices is not known.
const STATE: &str =
    "State them with --acquired slice:gaussian,MM, or with their gap as slice:gaussian,MM,GAP";

/// Tells what the header of a scan and the sidecars beside it say that cannot be used, or should not be made finer.
pub fn tell_beside(input: &Path, header: &Header, terminal: &Terminal) {
    for doubt in sidecars::doubts(input) {
        terminal.warn(doubt);
    }
    if header.holds_labels() {
        terminal.warn(format!(
            "{}: its header says that it holds labels, which would be averaged; carry the map onto the finer grid beside its scan, with \
             --labels",
            input.display()
        ));
    }
}

/// Takes what is told of one volume: warnings with its name before them, work as a progress bar.
pub fn hearing<'a>(name: &'a str, terminal: &'a Terminal) -> impl FnMut(Event) + 'a {
    let mut bar: Option<(String, Progress<'a>)> = None;
    let mut error_so_far: Option<f64> = None;
    let mut at = move |what: String, unit: &'static str, [done, of]: [u64; 2], more: &str| {
        if bar.as_ref().is_none_or(|(shown, _)| *shown != what) {
            bar = None;
            let progress = terminal.progress(&what, unit, of);
            bar = Some((what, progress));
        }
        if let Some((_, progress)) = &mut bar {
            progress.set(done, more);
        }
        if done == of {
            bar = None;
        }
    };
    let mut steps_in_all = 0;
    move |event| match event {
        Event::Warning(warning) => terminal.warn(format!("{name}: {warning}")),
        Event::Doubt(doubt) => terminal.warn(format!("{name}: {}", in_words(doubt))),
        Event::Detail(detail) => terminal.detail(format!("{name}: {detail}")),
        Event::Tiles { mirroring, done, of } => {
            let what = match mirroring {
                Some(mirroring) => format!("{name}, mirroring {} of {MIRRORINGS}", mirroring + 1),
                None => name.to_owned(),
            };
            at(what, "tiles", [done as u64, of as u64], "");
        }
        Event::Planes { done, of } => at(name.to_owned(), "planes", [done as u64, of as u64], ""),
        Event::Learning(event) => match event {
            self_learning::Event::Note(note) => terminal.say(note),
            self_learning::Event::Planned { steps: 0, .. } => {}
            self_learning::Event::Planned { steps, done } => {
                steps_in_all = steps;
                terminal.say(format!(
                    "{name}: learning {steps} steps from its own slices, {done} done"
                ));
            }
            self_learning::Event::Step { step, error } => {
                let mean = error_so_far.map_or(error, |mean: f64| 0.95 * mean + 0.05 * error);
                error_so_far = Some(mean);
                at(
                    name.to_owned(),
                    "steps",
                    [step, steps_in_all],
                    &format!("error {mean:.4}"),
                );
            }
            _ => {}
        },
        _ => {}
    }
}

/// What is not sure about thick slices, and what to do.
fn in_words(doubt: Doubt) -> String {
    match doubt {
        Doubt::Distance { stated_mm, apart_mm } => format!(
            "SpacingBetweenSlices is {} mm in its sidecar, but the header says that slices are {} mm apart, which is what counts; if it \
             is wrong, the whole picture is stretched along that axis",
            number(stated_mm),
            number(apart_mm)
        ),
        Doubt::TooFewSlices { apart_mm } => format!(
            "the thickness of the slices is not known, and too few of them hold the head to find it; slices as thick as they are \
             apart, {} mm, are assumed. {STATE}",
            number(apart_mm)
        ),
        Doubt::NoProfile { misfit, apart_mm } => format!(
            "the thickness of the slices is not known, and the scan does not show it (its axes differ by more than a slice \
             profile: misfit {misfit:.2} of the spectra); slices as thick as they are apart, {} mm, are assumed. {STATE}",
            number(apart_mm)
        ),
        _ => "the thickness of the slices is not sure".to_owned(),
    }
}
