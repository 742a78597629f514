//! Trains three steps on synthetic heads, and writes the model: `train_three_steps RUN_FOLDER`.

use std::error::Error;
use std::io::Write;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use voxelift_model::config::Config;
use voxelift_model::device::DeviceChoice;
use voxelift_model::run::{Record, RunDir};
use voxelift_model::train::{Event, prepare, train};

const CONFIG: &str = r#"
mode = "unpaired"
steps = 3

[data]
hr = ["phantom:1-2"]
lr = { files = ["phantom:11-12"], degrade = { operator = "kspace" } }
source_operator = "kspace"
phantom = { extent = [32, 36, 32], spacing_mm = 4.8 }

[patch]
size = 8
batch = 2

[network]
n_feats = 4
n_resgroups = 1
n_resblocks = 1
n_lr_blocks = 1

[validation]
every = 0
"#;

fn main() -> Result<(), Box<dyn Error>> {
    let Some(folder) = std::env::args().nth(1) else {
        return Err("train_three_steps RUN_FOLDER".into());
    };
    let config = Config::from_text(CONFIG, "this example", Path::new("."), &[])?.config;
    let prepared = prepare(&config, &mut |_| {})?;
    let (device, _) = DeviceChoice::Auto.open()?;
    let run = RunDir::create(Path::new(&folder))?;
    let mut out = std::io::stdout();
    let never = AtomicBool::new(false);
    train(&config, &run, &prepared, &device, &never, &mut |event| {
        if let Event::Record(Record::Step { step, .. }) = event {
            let _ = writeln!(out, "step {step}");
        }
        Ok(())
    })?;
    writeln!(out, "{}", run.model().display())?;
    Ok(())
}
