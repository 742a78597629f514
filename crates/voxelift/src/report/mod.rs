//! Floor 12 · One self-contained page from a run or an evaluation.

mod chart;
mod evaluation;
mod page;
mod run;
mod spread;

pub use evaluation::of_evaluation;
pub use page::Page;
pub use run::of_run;
pub use spread::{Spread, spreads};
