//! Several files, side by side: a failure does not stop the others, and is not forgotten.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use super::files::Job;
use crate::failure::{Outcome, message};
use crate::terminal::{self, Terminal};

/// Carries out each job, which returns what it made in words, and prints what became of it; `side_by_side` of them at
/// a time. A job that another process is at returns nothing and is asked again, to wait then, when the others are done.
///
/// # Errors
/// When the only job fails, or all of several do.
pub fn run(
    jobs: &[Job],
    what: &str,
    side_by_side: usize,
    terminal: &Terminal,
    carry_out: impl Fn(&Job, bool) -> anyhow::Result<Option<String>> + Sync,
) -> anyhow::Result<Outcome> {
    if let [job] = jobs {
        let made = carry_out(job, true)?.expect("a job that waits ends");
        terminal::print(format!("{}: {made}\n", job.output.display()))?;
        return Ok(Outcome::Done);
    }
    let progress = Mutex::new((0, terminal.progress(what, "files", jobs.len() as u64)));
    let results: Vec<Mutex<Option<anyhow::Result<String>>>> = jobs.iter().map(|_| Mutex::new(None)).collect();
    let queue: VecDeque<(usize, bool)> = (0..jobs.len()).map(|number| (number, false)).collect();
    let queue = Mutex::new(queue);
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    std::thread::scope(|scope| {
        for _ in 0..side_by_side.clamp(1, jobs.len()) {
            scope.spawn(|| {
                while let Some((number, waits)) = next() {
                    let job = &jobs[number];
                    let Some(result) = carry_out(job, waits).transpose() else {
                        let mut queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
                        queue.push_back((number, true));
                        continue;
                    };
                    if let Err(error) = &result {
                        terminal.complain(message(error));
                    }
                    let mut progress = progress.lock().unwrap_or_else(PoisonError::into_inner);
                    progress.0 += 1;
                    let done = progress.0;
                    progress.1.set(done, &job.input.display().to_string());
                    *results[number].lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
                }
            });
        }
    });
    drop(progress);
    let results: Vec<anyhow::Result<String>> = results
        .into_iter()
        .map(|result| {
            let result = result.into_inner().unwrap_or_else(PoisonError::into_inner);
            result.expect("every job was carried out")
        })
        .collect();

    terminal::print(listed(jobs, &results))?;
    match results.iter().filter(|result| result.is_err()).count() {
        0 => Ok(Outcome::Done),
        n if n < jobs.len() => Ok(Outcome::InPart),
        n => Err(anyhow::anyhow!("{what}: all {n} files failed")),
    }
}

/// What became of each job: files and outcome in one line, what else there is to say in lines below. Of these, what is said of all is said
/// once, at the end.
fn listed(jobs: &[Job], results: &[anyhow::Result<String>]) -> String {
    let made: Vec<&String> = results.iter().flatten().collect();
    let of_all: Vec<&str> = match made[..] {
        [first, _, ..] => {
            let everywhere = |line: &&str| made.iter().all(|said| said.lines().any(|other| other == *line));
            first.lines().skip(1).filter(everywhere).collect()
        }
        _ => Vec::new(),
    };
    let mut text = String::new();
    for (job, result) in jobs.iter().zip(results) {
        let input = job.input.display();
        match result {
            Err(error) => text.push_str(&format!("{input}: failed: {}\n", message(error))),
            Ok(said) => {
                let mut lines = said.lines();
                let outcome = lines.next().unwrap_or_default();
                text.push_str(&format!("{input} -> {}: {outcome}\n", job.output.display()));
                for line in lines.filter(|line| !of_all.contains(line)) {
                    text.push_str(&format!("    {line}\n"));
                }
            }
        }
    }
    if !of_all.is_empty() {
        text.push_str("for all of them:\n");
        of_all
            .iter()
            .for_each(|line| text.push_str(&format!("    {line}\n")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_all_is_said_once() {
        let job = |name: &str| Job {
            input: name.into(),
            output: format!("out/{name}").into(),
        };
        let jobs = ["a.nii", "b.nii", "c.nii"].map(job);
        let results = [
            Ok("2 mm\nby a network".to_owned()),
            Ok("3 mm\nby a network\na warning".to_owned()),
            Err(anyhow::anyhow!("no contrast")),
        ];
        let expected = "a.nii -> out/a.nii: 2 mm\nb.nii -> out/b.nii: 3 mm\n    a warning\nc.nii: failed: no contrast\n\
            for all of them:\n    by a network\n";
        assert_eq!(listed(&jobs, &results), expected);
    }
}
