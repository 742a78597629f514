//! Scores an image against its reference, in the brain alone: `score REFERENCE IMAGE`.

use std::error::Error;
use std::io::Write;
use std::path::Path;

use voxelift_volume::metrics::{EvaluateOptions, Score, evaluate};
use voxelift_volume::nifti::ReadOptions;
use voxelift_volume::scan;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [reference, image] = &arguments[..] else {
        return Err("score REFERENCE IMAGE".into());
    };
    let read = |path: &String| {
        Ok::<_, Box<dyn Error>>(
            scan::read(Path::new(path), &ReadOptions::default())?
                .frames
                .remove(0),
        )
    };
    let scores = evaluate(
        &read(reference)?,
        &read(image)?,
        None,
        &EvaluateOptions::default(),
    )?;
    let brain = scores.brain.as_ref().unwrap_or(&scores.masked);
    for score in Score::ALL {
        if let Some(value) = score.of(brain) {
            writeln!(std::io::stdout(), "{} {value:.4}", score.label())?;
        }
    }
    Ok(())
}
