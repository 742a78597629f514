//! Floor 10 · One self-contained page from a run or an evaluation.

mod chart;
mod evaluation;
mod page;
mod run;

pub use evaluation::{Evaluation, Row};
pub use run::of_run;
