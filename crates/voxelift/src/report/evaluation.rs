//! The page of an evaluation: methods against one reference, or many.

use super::page::Page;

/// What stands on the page of an evaluation.
#[derive(Clone, Debug)]
pub struct Evaluation {
    /// The page's title.
    pub title: String,
    /// What was done, in a sentence.
    pub lead: String,
    /// Names and what they are: files, sizes, settings.
    pub facts: Vec<(&'static str, String)>,
    /// The columns of the table, each with whether a higher value is better.
    pub scores: Vec<(&'static str, bool)>,
    /// One row a method.
    pub rows: Vec<Row>,
    /// A montage, where there is one.
    pub picture: Option<Vec<u8>>,
}

/// A method's scores.
#[derive(Clone, Debug)]
pub struct Row {
    /// The method.
    pub name: String,
    /// One a column; none where it could not be computed.
    pub values: Vec<Option<f64>>,
}

impl Evaluation {
    /// The page.
    pub fn html(&self) -> String {
        let mut page = Page::new(&self.title, &self.lead);
        page.facts(&self.facts);
        page.heading("Scores");
        let header: Vec<&str> = std::iter::once("").chain(self.scores.iter().map(|(name, _)| *name)).collect();
        let shown = |value: &Option<f64>| value.map_or_else(|| "none".to_owned(), |v| format!("{v:.4}"));
        let cells = |row: &Row| std::iter::once(row.name.clone()).chain(row.values.iter().map(shown)).collect();
        let rows: Vec<Vec<String>> = self.rows.iter().map(cells).collect();
        page.table(&header, &rows, &self.best(), "the best of each column is marked; arrows say which way is better.");
        if let Some(png) = &self.picture {
            page.heading("Pictures");
            page.picture(
                png,
                "montage of the low resolution, each method, the reference and the errors",
                "rows are an axial, a coronal and a sagittal plane, the subject's left at the left. All grey pictures share one \
                 window, errors a tenth of it (under each label); brighter is worse.",
            );
        }
        page.html()
    }

    /// The cells (row, column) with the best value of each column.
    fn best(&self) -> Vec<(usize, usize)> {
        let of_column = |(column, (_, higher)): (usize, &(&str, bool))| {
            let value = |row: usize| self.rows[row].values.get(column).copied().flatten();
            let better = |row: &usize| value(*row).map(|v| if *higher { v } else { -v });
            let rows = (0..self.rows.len()).filter(|row| value(*row).is_some());
            rows.max_by(|a, b| better(a).unwrap_or(f64::NAN).total_cmp(&better(b).unwrap_or(f64::NAN))).map(|row| (row, column + 1))
        };
        self.scores.iter().enumerate().filter_map(of_column).collect()
    }
}
