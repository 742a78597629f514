//! Floor 12 · One self-contained page from a run or an evaluation.

mod chart;
mod evaluation;
mod page;
mod run;
mod study;

pub use evaluation::of_evaluation;
pub use run::of_run;
pub use study::of_study;
