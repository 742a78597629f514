//! The records of a run on their way to its log.

use super::{Event, Watch};
use crate::error::Result;
use crate::run::{Record, RunDir};

/// Writes records, watches them, and holds those that could not be written yet.
pub(super) struct Ledger<'a> {
    run: &'a RunDir,
    waiting: Vec<Record>,
    watch: Watch,
}

impl<'a> Ledger<'a> {
    /// Goes on with the log of a run.
    pub fn new(run: &'a RunDir) -> Result<Self> {
        let mut watch = Watch::default();
        for record in run.records()? {
            // Said in the part of the run that wrote it.
            watch.see(&record);
        }
        Ok(Self {
            run,
            waiting: Vec::new(),
            watch,
        })
    }

    /// Logs a record and says what it shows.
    pub fn add(&mut self, record: Record, sink: &mut dyn FnMut(Event<'_>) -> Result<()>) -> Result<()> {
        sink(Event::Record(&record))?;
        for warning in self.watch.see(&record) {
            sink(Event::Warning(warning))?;
        }
        self.waiting.push(record);
        match self.run.append(&self.waiting) {
            Ok(()) => self.waiting.clear(),
            Err(error) if self.waiting.len() == 1 => sink(Event::Warning(format!(
                "{error}; training goes on, and the log is written as soon as it can be"
            )))?,
            Err(_) => {}
        }
        Ok(())
    }

    /// Writes what is left, and the table.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn close(&mut self) -> Result<()> {
        self.run.append(&self.waiting)?;
        self.waiting.clear();
        self.run.write_table()
    }
}
