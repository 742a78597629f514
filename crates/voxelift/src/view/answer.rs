//! What is sent back: a status, headers that let the page do nothing but its own, and a body.

use std::io::{self, Write};

use voxelift_volume::Volume;

use super::gallery::{nifti_bytes, write_nifti};
use super::request::Refusal;

/// The page runs its own scripts and asks its own server; nothing else, nowhere else.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; \
                      connect-src 'self' data: blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// An answer.
pub enum Answer<'a> {
    /// A text or a script.
    Text(&'static str, &'a [u8]),
    /// A volume as a NIfTI file.
    Volume(&'a Volume),
    /// Go there.
    Elsewhere(String),
    /// No.
    Refused(Refusal),
}

impl Answer<'_> {
    /// Sends it.
    ///
    /// # Errors
    /// When the other side has gone.
    pub fn send(&self, out: &mut dyn Write, with_body: bool) -> io::Result<()> {
        let (status, kind, length) = match self {
            Self::Text(kind, body) => ("200 OK".to_owned(), *kind, body.len() as u64),
            Self::Volume(volume) => (
                "200 OK".to_owned(),
                "application/octet-stream",
                nifti_bytes(volume),
            ),
            Self::Elsewhere(_) => ("302 Found".to_owned(), "text/plain", 0),
            Self::Refused(Refusal(code, words)) => {
                (format!("{code} {words}"), "text/plain", words.len() as u64)
            }
        };
        let place = match self {
            Self::Elsewhere(place) => format!("Location: {place}\r\n"),
            _ => String::new(),
        };
        write!(
            out,
            "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n{place}\
             Content-Security-Policy: {POLICY}\r\nX-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\n\
             Cross-Origin-Resource-Policy: same-origin\r\nCross-Origin-Opener-Policy: same-origin\r\n\
             Cache-Control: no-store\r\nConnection: close\r\n\r\n"
        )?;
        if with_body {
            match self {
                Self::Text(_, body) => out.write_all(body)?,
                Self::Volume(volume) => write_nifti(volume, out)?,
                Self::Elsewhere(_) => {}
                Self::Refused(Refusal(_, words)) => out.write_all(words.as_bytes())?,
            }
        }
        out.flush()
    }
}
