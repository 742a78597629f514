//! Several files, one after another: a failure does not stop the others, and is not forgotten.

use super::files::Job;
use crate::failure::{Outcome, told};
use crate::terminal::{self, Terminal};

/// Carries out each job, which answers with what it made in words, and prints what became of it.
///
/// # Errors
/// When the only job fails, or all of several do.
pub fn run(
    jobs: &[Job],
    what: &str,
    terminal: &Terminal,
    carry_out: impl Fn(&Job) -> anyhow::Result<String>,
) -> anyhow::Result<Outcome> {
    if let [job] = jobs {
        let made = carry_out(job)?;
        terminal::print(format!("{}: {made}\n", job.output.display()))?;
        return Ok(Outcome::Done);
    }
    let mut progress = terminal.progress(what, "files", jobs.len() as u64);
    let mut results = Vec::with_capacity(jobs.len());
    for (done, job) in jobs.iter().enumerate() {
        progress.set(done as u64, &job.input.display().to_string());
        let result = carry_out(job);
        if let Err(error) = &result {
            terminal.complain(told(error));
        }
        results.push(result);
    }
    drop(progress);

    let mut table = terminal::table(["input", "output", "result"].map(str::to_owned));
    for (job, result) in jobs.iter().zip(&results) {
        let (output, result) = match result {
            Ok(made) => (job.output.display().to_string(), made.clone()),
            Err(error) => ("none".to_owned(), format!("failed: {}", told(error))),
        };
        table.add_row([job.input.display().to_string(), output, result]);
    }
    terminal::print(format!("{table}\n"))?;
    match results.iter().filter(|result| result.is_err()).count() {
        0 => Ok(Outcome::Done),
        n if n < jobs.len() => Ok(Outcome::InPart),
        n => Err(anyhow::anyhow!("{what}: all {n} files failed")),
    }
}
