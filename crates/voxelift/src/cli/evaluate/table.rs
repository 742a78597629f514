//! The table of `--pairs`: comma, semicolon or tab between its columns.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// A row of the table.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// What an image should be.
    pub reference: PathBuf,
    /// What is scored.
    pub image: PathBuf,
    /// Where it counts. In the JSON `mask` says in words where the mask of the scores comes from.
    #[serde(
        default,
        rename(serialize = "mask_file"),
        skip_serializing_if = "Option::is_none"
    )]
    pub mask: Option<PathBuf>,
    /// Whom it shows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// What made the image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
}

impl Row {
    /// Rows without a method stand together.
    pub fn method(&self) -> &str {
        self.method.as_deref().unwrap_or("all")
    }
}

/// The rows of a table's text.
///
/// # Errors
/// When a row is none, there is no row, or one without a file.
pub fn parse(text: &[u8]) -> anyhow::Result<Vec<Row>> {
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .delimiter(delimiter(text))
        .from_reader(text);
    let rows: Result<Vec<Row>, csv::Error> = reader.deserialize().collect();
    let rows = rows.map_err(|error| {
        anyhow::anyhow!("{error}; expected the columns reference,image[,mask][,subject][,method]")
    })?;
    anyhow::ensure!(
        !rows.is_empty(),
        "holds no pair; expected a row a pair below the header"
    );
    for (number, row) in rows.iter().enumerate() {
        for (column, file) in [("reference", &row.reference), ("image", &row.image)] {
            anyhow::ensure!(
                !file.as_os_str().is_empty(),
                "row {} below the header: {column} is empty; expected a file",
                number + 1
            );
        }
    }
    Ok(rows)
}

/// Rows that are the same pair as an earlier one, each with that.
pub fn repeated(rows: &[Row]) -> Vec<(usize, usize)> {
    let (mut seen, mut repeated) = (BTreeMap::new(), Vec::new());
    for (number, row) in rows.iter().enumerate() {
        let pair = (&row.reference, &row.image, &row.mask, row.method());
        repeated.extend(seen.insert(pair, number).map(|first| (first, number)));
    }
    repeated
}

/// What stands between the columns, by the header: the semicolons and tabs of spreadsheets too.
fn delimiter(text: &[u8]) -> u8 {
    let header = text
        .split(|byte| matches!(byte, b'\n' | b'\r'))
        .next()
        .unwrap_or_default();
    let count = |delimiter: u8| header.iter().filter(|byte| **byte == delimiter).count();
    [b',', b';', b'\t']
        .into_iter()
        .rev()
        .max_by_key(|delimiter| count(*delimiter))
        .expect("three of them")
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    const TABLES: [&str; 4] = [
        "reference,image,mask,subject,method\nhr/a.nii,sr/a.nii,,a,model\nhr/b.nii,sr/b.nii,m.nii,b,cubic\n",
        "reference;image\n\"a;b.nii\";c.nii\n",
        "\u{feff}reference\timage\tsubject\r\na\tb\t\"x\"\"y\"\r\n",
        "image,reference\na,b\n",
    ];

    /// Damages the tables `times` times; each is read, or refused with a reason. Answers how many were read.
    fn damaged(times: u64, seed: u64) -> u64 {
        let words = [
            "\"",
            ",",
            ";",
            "\t",
            "\r",
            "\n",
            "\0",
            "\u{feff}",
            "reference",
            "image",
            "\u{202e}",
        ];
        let mut stream = voxelift_volume::random::Stream::new(seed, 1);
        let mut below = |n: usize| (stream.between(0.0, n as f64) as usize).min(n - 1);
        let mut read = 0;
        for _ in 0..times {
            let mut bytes = TABLES[below(TABLES.len())].as_bytes().to_vec();
            for _ in 0..=below(5) {
                let at = below(bytes.len().max(1));
                match below(4) {
                    0 if !bytes.is_empty() => bytes[at] = below(256) as u8,
                    1 => drop(bytes.drain(at..(at + below(20)).min(bytes.len()))),
                    2 => {
                        let copied = bytes[at..(at + 40).min(bytes.len())].to_vec();
                        drop(bytes.splice(at..at, copied));
                    }
                    _ => drop(bytes.splice(
                        at.min(bytes.len())..at.min(bytes.len()),
                        words[below(words.len())].bytes(),
                    )),
                }
            }
            match parse(&bytes) {
                Ok(rows) => {
                    read += 1;
                    assert!(rows.iter().all(|row| !row.reference.as_os_str().is_empty()));
                    repeated(&rows);
                }
                Err(error) => assert!(!error.to_string().is_empty()),
            }
        }
        read
    }

    #[test]
    fn a_damaged_table_is_read_or_refused_with_a_reason() {
        for table in TABLES {
            assert!(!parse(table.as_bytes()).expect("a table").is_empty());
        }
        let read = damaged(20_000, 1);
        assert!((1000..19_000).contains(&read), "{read} of 20000 read");
    }

    /// `FUZZ_SECONDS=600 cargo test --release -p voxelift --lib -- --ignored tables_for_a_while --nocapture`
    #[test]
    #[ignore = "as long as asked for"]
    fn tables_for_a_while() {
        let seconds = std::env::var("FUZZ_SECONDS")
            .ok()
            .and_then(|s| s.parse().ok())
            .unwrap_or(10);
        let (begin, mut rounds, mut read) = (Instant::now(), 0, 0);
        while begin.elapsed() < Duration::from_secs(seconds) {
            rounds += 1;
            read += damaged(10_000, 1 + rounds);
        }
        let line = format!(
            "{} damaged tables in {seconds} s, {read} read, none a panic\n",
            10_000 * rounds
        );
        let _ = std::io::Write::write_all(&mut std::io::stderr(), line.as_bytes());
    }
}
