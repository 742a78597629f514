//! What a browser asks, read within limits, and refused unless it comes from this viewer's own page.

use std::io::Read;
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// The head of a request is no longer than this.
const LONGEST: usize = 8 << 10;
/// More lines than any browser sends.
const MOST_HEADERS: usize = 64;
/// All of the head is there after this.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why a request is not answered: the status, in a number and in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal(pub u16, pub &'static str);

/// Not there, or not for you: which of the two is not said.
pub const NOT_FOUND: Refusal = Refusal(404, "Not Found");
const MALFORMED: Refusal = Refusal(400, "Bad Request");
const FORBIDDEN: Refusal = Refusal(403, "Forbidden");

/// The path of a request that may be answered, and whether its body is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// As it was sent.
    pub path: String,
    /// GET, not HEAD.
    pub wants_body: bool,
}

/// Reads a request and checks where it comes from.
///
/// # Errors
/// The refusal to be sent; none where there is nobody to send it to.
pub fn read(stream: &mut TcpStream, port: u16) -> Result<Request, Option<Refusal>> {
    let begin = Instant::now();
    let mut head = Vec::with_capacity(1024);
    loop {
        let left = PATIENCE
            .checked_sub(begin.elapsed())
            .filter(|left| !left.is_zero())
            .ok_or(Some(Refusal(408, "Request Timeout")))?;
        stream.set_read_timeout(Some(left)).map_err(|_| None)?;
        let mut more = [0; 1024];
        match stream.read(&mut more) {
            Ok(0) => return Err(None),
            Ok(count) => head.extend(&more[..count]),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(_) => return Err(Some(Refusal(408, "Request Timeout"))),
        }
        if head.len() > LONGEST {
            return Err(Some(Refusal(431, "Request Header Fields Too Large")));
        }
        if head.windows(4).any(|end| end == b"\r\n\r\n") {
            return checked(&head, port).map_err(Some);
        }
    }
}

/// A complete head, when it may be answered.
fn checked(head: &[u8], port: u16) -> Result<Request, Refusal> {
    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    if !request.parse(head).is_ok_and(|status| status.is_complete()) {
        return Err(MALFORMED);
    }
    let all = |name: &str| -> Vec<&[u8]> {
        let found = request
            .headers
            .iter()
            .filter(|h| h.name.eq_ignore_ascii_case(name));
        found.map(|header| header.value).collect()
    };
    // A name that was made to lead here (DNS rebinding) stands in Host, another page's address in Origin.
    let here = [format!("127.0.0.1:{port}"), format!("localhost:{port}")];
    let is_here = |value: &[u8]| here.iter().any(|own| own.as_bytes() == value);
    match all("host").as_slice() {
        [host] if is_here(host) => {}
        [] => return Err(MALFORMED),
        _ => return Err(FORBIDDEN),
    }
    let own_origin = |origin: &&[u8]| origin.strip_prefix(b"http://").is_some_and(is_here);
    let own_site = |site: &&[u8]| [&b"same-origin"[..], b"none"].contains(site);
    if !all("origin").iter().all(own_origin) || !all("sec-fetch-site").iter().all(own_site) {
        return Err(FORBIDDEN);
    }
    let wants_body = match request.method {
        Some("GET") => true,
        Some("HEAD") => false,
        _ => return Err(Refusal(405, "Method Not Allowed")),
    };
    let path = request.path.unwrap_or_default().to_owned();
    Ok(Request { path, wants_body })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(head: &str) -> Result<Request, Refusal> {
        checked(head.replace('\n', "\r\n").as_bytes(), 8000)
    }

    fn status(head: &str) -> u16 {
        asked(head).map_or_else(|refusal| refusal.0, |_| 200)
    }

    #[test]
    fn only_this_address_is_answered() {
        assert_eq!(status("GET /a HTTP/1.1\nHost: 127.0.0.1:8000\n\n"), 200);
        assert_eq!(status("HEAD /a HTTP/1.1\nhost: localhost:8000\n\n"), 200);
        for host in [
            "evil.example",
            "evil.example:8000",
            "127.0.0.1",
            "127.0.0.1:8001",
            "127.0.0.1:80000",
            "0.0.0.0:8000",
            "[::1]:8000",
            "localhost.evil.example:8000",
            "127.0.0.1:8000.evil.example",
            "user@127.0.0.1:8000",
            "",
        ] {
            assert_eq!(
                status(&format!("GET /a HTTP/1.1\nHost: {host}\n\n")),
                403,
                "{host}"
            );
        }
        assert_eq!(status("GET /a HTTP/1.1\n\n"), 400);
        assert_eq!(
            status("GET /a HTTP/1.1\nHost: 127.0.0.1:8000\nHost: evil.example\n\n"),
            403
        );
    }

    #[test]
    fn other_pages_are_refused() {
        let from = |line: &str| status(&format!("GET /a HTTP/1.1\nHost: 127.0.0.1:8000\n{line}\n\n"));
        assert_eq!(from("Origin: http://127.0.0.1:8000"), 200);
        assert_eq!(from("Sec-Fetch-Site: same-origin"), 200);
        assert_eq!(from("Sec-Fetch-Site: none"), 200);
        for line in [
            "Origin: http://evil.example",
            "Origin: null",
            "Origin: https://127.0.0.1:8000",
            "Origin: http://127.0.0.1:8001",
            "Origin: http://127.0.0.1:8000.evil.example",
            "Sec-Fetch-Site: cross-site",
            "Sec-Fetch-Site: same-site",
        ] {
            assert_eq!(from(line), 403, "{line}");
        }
    }

    #[test]
    fn other_methods_and_nonsense_are_refused() {
        for method in ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT"] {
            assert_eq!(
                status(&format!("{method} /a HTTP/1.1\nHost: 127.0.0.1:8000\n\n")),
                405,
                "{method}"
            );
        }
        for head in [
            "",
            "\n\n",
            "GET\n\n",
            "GET /a\n\n",
            "\u{0}\u{1}\n\n",
            "GET /a HTTP/9.9\nHost: 127.0.0.1:8000\n\n",
        ] {
            assert_eq!(status(head), 400, "{head:?}");
        }
        let many: String = (0..100).map(|i| format!("X-{i}: 1\n")).collect();
        assert_eq!(
            status(&format!("GET /a HTTP/1.1\nHost: 127.0.0.1:8000\n{many}\n")),
            400
        );
    }
}
