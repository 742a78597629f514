//! `voxelift study`: a grid of runs, resumable run by run, and one table.

use std::path::PathBuf;

use clap::Args;
use voxelift_model::device::DeviceChoice;

use super::stop;
use crate::failure::Outcome;
use crate::study::{Grid, Shard, Study, Trainer};
use crate::terminal::{self, Terminal};

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  voxelift study study.toml --out studies/first")]
pub struct StudyArguments {
    /// The study: base configuration, variants, seeds, test sets
    #[arg(value_name = "STUDY.toml")]
    study: PathBuf,
    /// The folder of its runs and tables; a study that is already in it goes on
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Only every n-th run, from the i-th: for the tasks of a job array
    #[arg(long, value_name = "i/n", default_value = "1/1")]
    shard: Shard,
    /// Change a key of every run's configuration, as steps=500
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Train and score nothing: make the tables of what is complete
    #[arg(long, conflicts_with = "shard")]
    tables: bool,
    /// Where to compute: auto or cpu
    #[arg(long, default_value = "auto")]
    device: DeviceChoice,
}

/// # Errors
/// When the study is refused, or no run of it can be finished.
pub fn run(arguments: &StudyArguments, terminal: &Terminal) -> anyhow::Result<Outcome> {
    let study = Study::load(&arguments.study, &arguments.set)?;
    let stop = stop::on_request_or_warning()?;
    let grid = Grid::new(&study, &arguments.out, terminal, &stop)?;
    let outcome = if arguments.tables {
        Outcome::Done
    } else {
        let trainer = study.base.clone().map(|base| {
            let threads = rayon::current_num_threads().to_string();
            let words = ["--threads", &threads].map(str::to_owned).into_iter();
            Ok::<_, std::io::Error>(Trainer {
                program: std::env::current_exe()?,
                base,
                arguments: words.chain(terminal.arguments()).collect(),
                device: arguments.device,
            })
        });
        grid.carry_out(trainer.transpose()?.as_ref(), arguments.device, arguments.shard)?
    };
    let table = grid.write_tables()?;
    if outcome == Outcome::Interrupted {
        terminal.warn("interrupted; what is there is kept, the same command goes on from here");
    } else {
        terminal::print(table)?;
    }
    Ok(outcome)
}
