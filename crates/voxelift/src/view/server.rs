//! The server: 127.0.0.1 alone, one secret address, a few threads, nothing of the file system.

use std::io::{self, BufWriter, Read};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use super::answer::Answer;
use super::gallery::{Gallery, same, secret};
use super::request::{self, NOT_FOUND, Request};

/// Requests that are answered at a time.
const THREADS: usize = 8;
/// Connections that wait; more are closed.
const WAITING: usize = 64;
/// A browser that takes nothing for so long has gone.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks at whether it is time to stop.
const LOOK: Duration = Duration::from_millis(100);

const PAGE: &[u8] = include_bytes!("viewer.html");
const STYLE: &[u8] = include_bytes!("viewer.css");
const SCRIPT: &[u8] = include_bytes!("viewer.js");
const NIIVUE: &[u8] = include_bytes!("../../assets/niivue-0.69.0/niivue.umd.js");

/// A server that listens and does not answer yet.
pub struct Server {
    listener: TcpListener,
    port: u16,
    site: Site,
}

/// What is served, and to whom.
struct Site {
    gallery: Gallery,
    described: Vec<u8>,
    /// Begins every path.
    token: String,
    /// Leads to the page once: what is handed to another program stands in the list of processes for all to see.
    once: Mutex<Option<String>>,
}

impl Server {
    /// Listens on 127.0.0.1; port 0 is any free one.
    ///
    /// # Errors
    /// When the port is taken, or the system gives no random bytes.
    pub fn new(gallery: Gallery, port: u16) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        let port = listener.local_addr()?.port();
        let described = gallery.described().to_string().into_bytes();
        let site = Site {
            gallery,
            described,
            token: secret(32)?,
            once: Mutex::new(Some(secret(32)?)),
        };
        Ok(Self { listener, port, site })
    }

    /// Where the page is, for whoever reads this terminal.
    pub fn address(&self) -> String {
        format!("http://127.0.0.1:{}/{}/", self.port, self.site.token)
    }

    /// Leads to the page the first time it is asked for.
    pub fn address_once(&self) -> String {
        let once = self.site.once.lock().unwrap_or_else(PoisonError::into_inner);
        format!(
            "http://127.0.0.1:{}/open/{}",
            self.port,
            once.as_deref().unwrap_or_default()
        )
    }

    /// Answers until `stop` is set.
    ///
    /// # Errors
    /// When no more connections can be had.
    pub fn serve(&self, stop: &Arc<AtomicBool>) -> io::Result<()> {
        let (sender, receiver) = sync_channel::<TcpStream>(WAITING);
        let receiver = Mutex::new(receiver);
        // Whoever waits for a connection is woken by one.
        let (own, stops) = (
            SocketAddr::from((Ipv4Addr::LOCALHOST, self.port)),
            Arc::clone(stop),
        );
        thread::spawn(move || {
            while !stops.load(Ordering::Relaxed) {
                thread::sleep(LOOK);
            }
            let _ = TcpStream::connect(own);
        });
        thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| self.answer_all(&receiver));
            }
            let ended = loop {
                let connection = self.listener.accept();
                if stop.load(Ordering::Relaxed) {
                    break Ok(());
                }
                match connection {
                    // Where too many wait, this one is dropped, which closes it.
                    Ok((stream, _)) => drop(sender.try_send(stream)),
                    Err(error) if is_passing(&error) => thread::sleep(LOOK),
                    Err(error) => break Err(error),
                }
            };
            drop(sender);
            ended
        })
    }

    fn answer_all(&self, connections: &Mutex<Receiver<TcpStream>>) {
        loop {
            let next = connections.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok(stream) = next else { return };
            // Whoever has gone needs no answer.
            let _ = self.answer(stream);
        }
    }

    fn answer(&self, mut stream: TcpStream) -> io::Result<()> {
        stream.set_write_timeout(Some(PATIENCE))?;
        let (answer, with_body) = match request::read(&mut stream, self.port) {
            Ok(request) => (self.site.answer(&request), request.wants_body),
            Err(Some(refusal)) => (Answer::Refused(refusal), true),
            Err(None) => return Ok(()),
        };
        let mut out = BufWriter::with_capacity(1 << 16, &stream);
        answer.send(&mut out, with_body)?;
        drop(out);
        stream.shutdown(Shutdown::Write)?;
        // What was sent beyond the head is taken in, a little of it, so that the answer arrives before the connection ends.
        stream.set_read_timeout(Some(LOOK))?;
        let mut rest = [0; 1024];
        for _ in 0..64 {
            if !matches!(stream.read(&mut rest), Ok(count) if count > 0) {
                break;
            }
        }
        Ok(())
    }
}

/// Errors of one connection, or of a moment without free descriptors.
fn is_passing(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted, WouldBlock};
    [ConnectionAborted, ConnectionReset, Interrupted, WouldBlock].contains(&error.kind())
        || matches!(error.raw_os_error(), Some(23 | 24))
}

impl Site {
    fn answer(&self, request: &Request) -> Answer<'_> {
        let path = request.path.as_str();
        if let Some(given) = path.strip_prefix("/open/") {
            let mut once = self.once.lock().unwrap_or_else(PoisonError::into_inner);
            if once.as_deref().is_some_and(|once| same(once, given)) {
                *once = None;
                return Answer::Elsewhere(format!("/{}/", self.token));
            }
            return Answer::Refused(NOT_FOUND);
        }
        let asked = path.strip_prefix('/').and_then(|path| path.split_once('/'));
        let Some((_, rest)) = asked.filter(|(token, _)| same(token, &self.token)) else {
            return Answer::Refused(NOT_FOUND);
        };
        let script = "text/javascript; charset=utf-8";
        match rest {
            "" => Answer::Text("text/html; charset=utf-8", PAGE),
            "viewer.css" => Answer::Text("text/css; charset=utf-8", STYLE),
            "viewer.js" => Answer::Text(script, SCRIPT),
            "niivue.js" => Answer::Text(script, NIIVUE),
            "gallery.json" => Answer::Text("application/json", &self.described),
            rest => {
                let id = rest
                    .strip_prefix("volume/")
                    .and_then(|id| id.strip_suffix(".nii"));
                let volume = id.and_then(|id| self.gallery.volume(id));
                volume.map_or(Answer::Refused(NOT_FOUND), Answer::Volume)
            }
        }
    }
}

#[cfg(test)]
mod tests;
