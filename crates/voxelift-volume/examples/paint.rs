//! Paints a label map with a random contrast, or gives a scan other intensities: `paint labels MAP OUT SEED`, `paint scan SCAN OUT SEED`.

use std::error::Error;
use std::path::Path;

use voxelift_volume::nifti::{self, NiftiImage, ReadOptions, WriteOptions};
use voxelift_volume::random::Stream;
use voxelift_volume::scan::read;
use voxelift_volume::synthesis::{Remap, SynthesisConfig};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [what, input, output, seed] = &arguments[..] else {
        return Err("paint labels|scan INPUT OUTPUT SEED".into());
    };
    let seed: u64 = seed.parse()?;
    let volume = read(Path::new(input), &ReadOptions::default())?.frames.remove(0);
    let mut stream = Stream::new(seed, 0);
    let painted = match what.as_str() {
        "labels" => SynthesisConfig::default().scan(&volume, seed)?,
        "scan" if stream.uniform() < 0.5 => Remap::monotone(&mut stream).apply(volume)?,
        "scan" => Remap::any(&mut stream).apply(volume)?,
        other => return Err(format!("{other}: expected labels or scan").into()),
    };
    nifti::write(
        Path::new(output),
        &NiftiImage::from_volume(painted),
        &WriteOptions::default(),
    )?;
    Ok(())
}
