//! Attacks on a server that runs.

use std::io::Write;

use super::*;
use crate::view::Kind;
use voxelift_volume::{Geometry, Volume};

/// A server of one volume while `visit` looks at it.
fn served(visit: impl FnOnce(&Server)) {
    let mut gallery = Gallery::default();
    let volume = Volume::new(
        vec![1.0, 2.0, 3.0, 4.0],
        Geometry::axis_aligned([2, 2, 1], [1.0; 3]),
    );
    gallery.add("a <scan>", Kind::Image, volume).unwrap();
    let server = Server::new(gallery, 0).unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    thread::scope(|scope| {
        let running = scope.spawn(|| server.serve(&stop));
        visit(&server);
        stop.store(true, Ordering::Relaxed);
        running.join().unwrap().unwrap();
    });
}

/// What the server says to these bytes.
fn said(server: &Server, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, server.port)).unwrap();
    stream.write_all(bytes).unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    answer
}

fn get(server: &Server, path: &str, lines: &str) -> String {
    let head = format!(
        "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n{lines}\r\n",
        server.port
    );
    String::from_utf8_lossy(&said(server, head.as_bytes())).into_owned()
}

fn status(server: &Server, path: &str, lines: &str) -> u16 {
    let answer = get(server, path, lines);
    answer
        .split(' ')
        .nth(1)
        .and_then(|code| code.parse().ok())
        .unwrap_or(0)
}

#[test]
fn the_page_its_parts_and_the_volume_are_there_for_who_has_the_address() {
    served(|server| {
        let own = format!("/{}/", server.site.token);
        for (part, holds) in [
            ("", "<!doctype html>"),
            ("viewer.css", "{"),
            ("viewer.js", "\"use strict\""),
            ("niivue.js", "niivue"),
            ("gallery.json", "a <scan>"),
        ] {
            let answer = get(server, &format!("{own}{part}"), "");
            assert!(
                answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains(holds),
                "{part}"
            );
            assert!(
                answer.contains("default-src 'none'") && answer.contains("nosniff"),
                "{part}"
            );
        }
        let described = server.site.gallery.described();
        let url = described[0]["url"].as_str().unwrap();
        let head = format!(
            "GET {own}{url} HTTP/1.1\r\nHost: localhost:{}\r\n\r\n",
            server.port
        );
        let answer = said(server, head.as_bytes());
        let body = answer.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4;
        assert_eq!(answer.len() - body, 352 + 16);
        // Without a body, as HEAD asks.
        let head = format!("HEAD {own} HTTP/1.1\r\nHost: localhost:{}\r\n\r\n", server.port);
        assert!(said(server, head.as_bytes()).ends_with(b"\r\n\r\n"));
    });
}

#[test]
fn nobody_else_gets_anything() {
    served(|server| {
        let own = format!("/{}/", server.site.token);
        // DNS rebinding: the name leads here, the page is another's.
        let rebound = format!("GET {own} HTTP/1.1\r\nHost: evil.example:{}\r\n\r\n", server.port);
        assert!(said(server, rebound.as_bytes()).starts_with(b"HTTP/1.1 403"));
        assert_eq!(status(server, &own, "Origin: http://evil.example\r\n"), 403);
        assert_eq!(status(server, &own, "Sec-Fetch-Site: cross-site\r\n"), 403);
        // A wrong, a shorter, a longer, no token.
        let wrong = "0".repeat(64);
        for token in [wrong.as_str(), &own[1..40], &format!("{}0", &own[1..65]), ""] {
            for part in ["", "gallery.json", "viewer.js"] {
                assert_eq!(status(server, &format!("/{token}/{part}"), ""), 404, "{token}");
            }
        }
        for path in ["/", "/favicon.ico", "*", "/open/", &format!("/open/{wrong}")] {
            assert_eq!(status(server, path, ""), 404, "{path}");
        }
        let id = server.site.gallery.described()[0]["url"]
            .as_str()
            .unwrap()
            .to_owned();
        // Out of the site, by every spelling.
        for path in [
            "../../../../etc/passwd",
            "volume/../../../../etc/passwd",
            "volume/..%2f..%2f..%2fetc%2fpasswd",
            "volume/%2e%2e/%2e%2e/etc/passwd.nii",
            "volume/....//....//etc/passwd",
            "volume//etc/passwd",
            "volume/..\\..\\etc\\passwd.nii",
            "volume/.nii",
            "volume/0.nii",
            "volume/",
            "viewer.css/",
            "?token",
            &format!("{id}.gz"),
            &format!("{id}%00"),
            &format!("{id}?x=1"),
            &id.to_uppercase(),
        ] {
            let answer = get(server, &format!("{own}{path}"), "");
            assert!(answer.starts_with("HTTP/1.1 404"), "{path}: {answer}");
            assert!(!answer.contains("root:"), "{path}");
        }
        let post = format!(
            "POST {own} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nContent-Length: 3\r\n\r\nabc",
            server.port
        );
        assert!(said(server, post.as_bytes()).starts_with(b"HTTP/1.1 405"));
        let long = format!("{own}{}", "a".repeat(20_000));
        assert!([0, 431].contains(&status(server, &long, "")));
        assert!(
            said(server, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n")
                .starts_with(b"HTTP/1.1 400")
        );
    });
}

#[test]
fn the_address_for_other_programs_leads_in_once() {
    served(|server| {
        let address = server.address_once();
        let path = address
            .strip_prefix(&format!("http://127.0.0.1:{}", server.port))
            .unwrap()
            .to_owned();
        let first = get(server, &path, "");
        assert!(
            first.starts_with("HTTP/1.1 302")
                && first.contains(&format!("Location: /{}/", server.site.token))
        );
        assert_eq!(status(server, &path, ""), 404);
    });
}

#[test]
fn ten_thousand_requests_and_idle_connections_do_not_wear_it_out() {
    served(|server| {
        // More than there are threads, which send half a request and wait.
        let idle: Vec<TcpStream> = (0..THREADS - 2)
            .map(|_| {
                let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, server.port)).unwrap();
                stream.write_all(b"GET /").unwrap();
                stream
            })
            .collect();
        let own = format!("/{}/gallery.json", server.site.token);
        let wrong = format!("/{}/gallery.json", "f".repeat(64));
        let count =
            |path: &str, expected: u16| (0..2500).filter(|_| status(server, path, "") == expected).count();
        let answered: usize = thread::scope(|scope| {
            let askers = [(&own, 200), (&wrong, 404), (&own, 200), (&wrong, 404)];
            let askers = askers.map(|(path, expected)| scope.spawn(move || count(path, expected)));
            askers.into_iter().map(|asker| asker.join().unwrap()).sum()
        });
        assert_eq!(answered, 10_000);
        drop(idle);
        assert_eq!(status(server, &own, ""), 200);
    });
}
