//! A self-contained HTML page: no external address, light and dark, narrow, wide and in print.

use base64::prelude::{BASE64_STANDARD, Engine as _};

use super::compare::{Layer, SCRIPT, compare};
use super::escape::{escaped, prose};
use crate::picture::Stacks;

/// Which way something points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is better for it.
    Good,
    /// It is worse for it.
    Bad,
    /// It has to be known.
    Open,
}

/// A sentence that the numbers bear out.
#[derive(Clone, Debug)]
pub struct Finding {
    /// Which way it points.
    pub verdict: Verdict,
    /// The sentence.
    pub text: String,
}

/// A page that grows section by section.
#[derive(Clone, Debug)]
pub struct Page {
    title: String,
    body: String,
    /// The heading of the part, where the page has parts, and the heading that stands last.
    part: String,
    section: String,
    /// What parts that can be gone to are called.
    names: Vec<String>,
    has_stacks: bool,
    has_sorted: bool,
}

/// Nothing is fetched from anywhere; pictures, style and script stand in the page itself.
const POLICY: &str = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

/// Columns of a table that a phone shows without scrolling.
const FIT_A_PHONE: usize = 3;

const STYLE: &str = include_str!("page.css");

/// Makes the heads of tables buttons that sort them.
const SORT: &str = include_str!("sort.js");

impl Page {
    /// An empty page; `lead` says in a sentence what it shows.
    pub fn new(title: &str, lead: &str) -> Self {
        let body = format!(
            "<h1>{}</h1>\n<p class=\"lead\">{}</p>\n",
            escaped(title),
            prose(lead)
        );
        Self {
            title: title.to_owned(),
            body,
            part: String::new(),
            section: title.to_owned(),
            names: Vec::new(),
            has_stacks: false,
            has_sorted: false,
        }
    }

    /// The heading of a part of the page, above those of its sections.
    pub fn part(&mut self, text: &str) {
        text.clone_into(&mut self.part);
        text.clone_into(&mut self.section);
        self.body
            .push_str(&format!("<h2 class=\"part\">{}</h2>\n", escaped(text)));
    }

    /// A heading.
    pub fn heading(&mut self, text: &str) {
        text.clone_into(&mut self.section);
        self.body.push_str(&format!("<h2>{}</h2>\n", escaped(text)));
    }

    /// The headings that stand last.
    fn place(&self) -> String {
        match self.part.as_str() {
            "" => self.section.clone(),
            part if part == self.section => part.to_owned(),
            part => format!("{part}, {}", self.section),
        }
    }

    /// A name that nothing else on the page has.
    fn named(&mut self, name: &str) -> String {
        let earlier = self.names.iter().filter(|other| *other == name).count();
        self.names.push(name.to_owned());
        match earlier {
            0 => escaped(name),
            earlier => escaped(&format!("{name}, {}", earlier + 1)),
        }
    }

    /// A paragraph.
    pub fn paragraph(&mut self, text: &str) {
        self.body.push_str(&format!("<p>{}</p>\n", prose(text)));
    }

    /// What the reader should look into; nothing where there is nothing.
    pub fn warnings(&mut self, warnings: &[String]) {
        self.aside("Warnings", "warnings", warnings);
    }

    /// What the reader should know; nothing where there is nothing.
    pub fn notes(&mut self, notes: &[String]) {
        self.aside("Good to know", "notes", notes);
    }

    fn aside(&mut self, heading: &str, class: &str, lines: &[String]) {
        if lines.is_empty() {
            return;
        }
        let items: String = lines
            .iter()
            .map(|line| format!("<li>{}</li>", prose(line)))
            .collect();
        let name = self.named(&format!("{heading}: {}", self.place()));
        self.body.push_str(&format!(
            "<aside class=\"{class}\" aria-label=\"{name}\"><h2>{heading}</h2><ul>{items}</ul></aside>\n"
        ));
    }

    /// Sentences, each marked with which way it points.
    pub fn findings(&mut self, findings: &[Finding]) {
        let items: String = findings
            .iter()
            .map(|finding| {
                let (class, word) = match finding.verdict {
                    Verdict::Good => ("good", "+ better"),
                    Verdict::Bad => ("bad", "\u{2212} worse"),
                    Verdict::Open => ("open", "note"),
                };
                format!(
                    "<li class=\"{class}\"><b>{word}</b> {}</li>\n",
                    prose(&finding.text)
                )
            })
            .collect();
        self.body
            .push_str(&format!("<ul class=\"findings\">{items}</ul>\n"));
    }

    /// Names and what they are.
    pub fn facts(&mut self, facts: &[(&str, String)]) {
        let rows: String = facts
            .iter()
            .map(|(name, value)| {
                format!(
                    "<div><dt>{}</dt><dd>{}</dd></div>\n",
                    escaped(name),
                    escaped(value)
                )
            })
            .collect();
        self.body.push_str(&format!("<dl>\n{rows}</dl>\n"));
    }

    /// Text that keeps its lines, folded away until asked for.
    pub fn folded(&mut self, summary: &str, text: &str) {
        let (summary, text) = (escaped(summary), escaped(text));
        self.body.push_str(&format!(
            "<details><summary>{summary}</summary><pre>{text}</pre></details>\n"
        ));
    }

    /// A table whose first column names the row; a cell's second line is set small below the first. `best` marks the cells (row, column) of the best values.
    /// A click on a head sorts the rows.
    pub fn table(
        &mut self,
        header: &[&str],
        rows: &[Vec<String>],
        best: &[(usize, usize)],
        how_to_read: &str,
    ) {
        let sorts = rows.len() > 1;
        self.has_sorted |= sorts;
        self.rows(header, rows, best, how_to_read, sorts);
    }

    /// As [`Page::table`], of rows that are different things, which no column can sort.
    pub fn table_of_scores(
        &mut self,
        header: &[&str],
        rows: &[Vec<String>],
        best: &[(usize, usize)],
        how_to_read: &str,
    ) {
        self.rows(header, rows, best, how_to_read, false);
    }

    fn rows(
        &mut self,
        header: &[&str],
        rows: &[Vec<String>],
        best: &[(usize, usize)],
        how_to_read: &str,
        sorts: bool,
    ) {
        let header: String = header
            .iter()
            .map(|cell| match *cell {
                "" => "<td></td>".to_owned(),
                cell => format!("<th scope=\"col\">{}</th>", escaped(cell)),
            })
            .collect();
        let mut lines = String::new();
        for (y, row) in rows.iter().enumerate() {
            lines.push_str("<tr>");
            for (x, cell) in row.iter().enumerate() {
                let cell = match cell.split_once('\n') {
                    Some((first, second)) => format!("{}<small>{}</small>", escaped(first), escaped(second)),
                    None => escaped(cell),
                };
                lines.push_str(&match x {
                    0 => format!("<th scope=\"row\">{cell}</th>"),
                    _ if best.contains(&(y, x)) => format!("<td class=\"best\">{cell}</td>"),
                    _ => format!("<td>{cell}</td>"),
                });
            }
            lines.push_str("</tr>\n");
        }
        let class = if sorts { " class=\"sortable\"" } else { "" };
        let table = format!("<table{class}><thead><tr>{header}</tr></thead>\n<tbody>{lines}</tbody></table>");
        let cue = if rows.first().map_or(0, Vec::len) > FIT_A_PHONE {
            "<p class=\"cue\">The table scrolls sideways \u{2192}</p>"
        } else {
            ""
        };
        // What scrolls can be reached by the keyboard.
        let begin = how_to_read.split([',', ';', ':', '.']).next().unwrap_or_default();
        let name = self.named(&format!("Table: {}: {begin}", self.place()));
        self.figure(
            &format!("{cue}<div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-label=\"{name}\">{table}</div>"),
            how_to_read,
        );
    }

    /// Charts side by side where there is room, with one line on how to read them.
    pub fn charts(&mut self, charts: &[String], how_to_read: &str) {
        self.figure(
            &format!("<div class=\"charts\">{}</div>", charts.concat()),
            how_to_read,
        );
    }

    /// Stacks of slices of several volumes, with a line between two of them.
    pub fn compare(&mut self, stacks: &Stacks, layers: &[Layer], begin: [usize; 2], how_to_read: &str) {
        self.has_stacks = true;
        self.figure(&compare(stacks, layers, begin), how_to_read);
    }

    /// A PNG picture, with one line on how to read it.
    pub fn picture(&mut self, png: &[u8], alternative: &str, how_to_read: &str) {
        let (data, alternative) = (BASE64_STANDARD.encode(png), escaped(alternative));
        let picture = format!("<img src=\"data:image/png;base64,{data}\" alt=\"{alternative}\">");
        self.figure(
            &format!(
                "<div class=\"scroll picture\" role=\"region\" tabindex=\"0\" aria-label=\"{alternative}\">{picture}</div>"
            ),
            how_to_read,
        );
    }

    fn figure(&mut self, content: &str, how_to_read: &str) {
        let caption = format!(
            "<figcaption><b>How to read this:</b> {}</figcaption>",
            prose(how_to_read)
        );
        self.body
            .push_str(&format!("<figure>{content}{caption}</figure>\n"));
    }

    /// The whole page.
    pub fn html(&self) -> String {
        let (title, version) = (escaped(&self.title), env!("CARGO_PKG_VERSION"));
        let scripts = [(self.has_stacks, SCRIPT), (self.has_sorted, SORT)];
        let scripts: Vec<&str> = scripts.iter().filter(|part| part.0).map(|part| part.1).collect();
        let script = match scripts.is_empty() {
            true => String::new(),
            false => format!("<script>\n{}</script>\n", scripts.concat()),
        };
        format!(
            "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\n\
             <title>{title}</title>\n<style>\n{STYLE}</style></head>\n<body><main>\n{}\
             <footer>voxelift {version}</footer>\n</main>\n{script}</body></html>\n",
            self.body
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_are_alike_sort_and_others_do_not() {
        let two = [
            vec!["r".to_owned(), "1".to_owned()],
            vec!["s".to_owned(), "2".to_owned()],
        ];
        let mut page = Page::new("t", "l");
        page.table_of_scores(&["a", "b"], &two, &[], "so");
        page.table(&["a", "b"], &two[..1], &[], "so");
        assert!(!page.html().contains("class=\"sortable\"") && !page.html().contains("<script"));
        page.table(&["a", "b"], &two, &[], "so");
        let html = page.html();
        assert_eq!(html.matches("class=\"sortable\"").count(), 1);
        assert!(
            html.contains("aria-sort") && !SORT.contains("</") && html.contains("script-src 'unsafe-inline'")
        );
    }

    #[test]
    fn text_cannot_break_out_and_nothing_is_fetched() {
        let mut page = Page::new("a <b>", "x & y");
        page.facts(&[("name", "<script>alert(1)</script>".to_owned())]);
        page.table(&["a", "b"], &[vec!["r".into(), "\"1\"".into()]], &[(0, 1)], "so");
        page.picture(&[1, 2, 3], "an \"image\"", "look");
        let html = page.html();
        assert!(!html.contains("<script") && html.contains("a &lt;b&gt;") && html.contains("x &amp; y"));
        assert!(!html.contains("http:") && !html.contains("https:") && !html.contains("url("));
        assert_eq!(html.matches("How to read this").count(), 2);
        page.notes(&["one".to_owned()]);
        page.notes(&["two".to_owned()]);
        let html = page.html();
        assert!(
            html.contains("aria-label=\"Good to know: a &lt;b&gt;\"")
                && html.contains("aria-label=\"Good to know: a &lt;b&gt;, 2\"")
        );
    }
}
