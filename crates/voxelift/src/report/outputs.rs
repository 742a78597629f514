//! The page of scans that were made finer, without a reference: what went in, and what came out.

use super::exhibit::Exhibit;
use super::page::Page;

/// One output: its name, what is known of it, and its pictures where they could be read.
#[derive(Debug)]
pub struct Output {
    /// The name of its file.
    pub name: String,
    /// Names and what they are.
    pub facts: Vec<(&'static str, String)>,
    /// What went in and what came out.
    pub exhibit: Option<Exhibit>,
}

/// A page of one subject's outputs.
pub fn of_outputs(title: &str, outputs: &[Output]) -> String {
    let mut page = Page::new(title, "Scans on a finer grid, beside what they were made from.");
    page.notes(&[
        "There is no reference here: detail beyond what the scan measured is likely, not seen. `voxelift upscale --audit` maps it."
            .to_owned(),
    ]);
    for Output { name, facts, exhibit } in outputs {
        page.heading(name);
        page.facts(facts);
        if let Some(exhibit) = exhibit {
            exhibit.show_within(&mut page, 1.0 / outputs.len() as f64);
        }
    }
    page.html()
}

/// A page with one table of every output of a data set.
pub fn of_group(header: &[&str], rows: &[Vec<String>]) -> String {
    let mut page = Page::new(
        "Super-resolved scans",
        "Every output of the data set, and how it was made.",
    );
    page.table(header, rows, &[], "each row is one output.");
    page.html()
}
