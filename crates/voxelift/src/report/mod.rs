//! Layer 12 · One self-contained page from a run or an evaluation.

mod axis;
mod chart;
mod compare;
mod curves;
mod escape;
mod evaluation;
mod exhibit;
mod findings;
mod outputs;
mod page;
mod pairs;
mod run;
mod scores;
mod shells;
mod spread;

pub use evaluation::{Evaluated, Made, of_demo, of_evaluation};
pub use exhibit::{Exhibit, TileDifference};
pub use outputs::{Output, of_group, of_outputs};
pub use page::Page;
pub use pairs::{Pairs, Row};
pub use run::{Trial, of_run};
pub use spread::{Spread, spreads};
