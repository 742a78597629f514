//! The wish to stop: Ctrl-C, the end of the session, and the warning of a cluster's scheduler.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM};

/// What asks a program to end, on every system.
const ENDS: [i32; 2] = [SIGINT, SIGTERM];

/// What asks a long run to keep its state and end: SIGUSR1 is what schedulers send before the time is over.
#[cfg(unix)]
const ENDS_LATER: &[i32] = &[SIGINT, SIGTERM, signal_hook::consts::SIGUSR1];
#[cfg(not(unix))]
const ENDS_LATER: &[i32] = &ENDS;

/// Whether a command listens, keeps what it has and ends in its own time.
static IS_HEARD: AtomicBool = AtomicBool::new(false);

/// From here on a command that does not listen takes back what it has half-written when the program is asked to end, and then ends
/// as any program does that is asked to. Where the system does not let the program listen, the next call removes what is left.
#[cfg(unix)]
pub fn take_back_on_request() {
    let signals = ENDS.into_iter().filter(|signal| !is_ignored(*signal));
    let Ok(mut signals) = signal_hook::iterator::Signals::new(signals) else {
        return;
    };
    let listening = move || {
        for signal in signals.forever() {
            if !IS_HEARD.load(Ordering::Relaxed) {
                voxelift_volume::undo::all();
                let _ = signal_hook::low_level::emulate_default_handler(signal);
            }
        }
    };
    let _ = std::thread::Builder::new()
        .name("stop".to_owned())
        .spawn(listening);
}

/// Elsewhere the next call removes what is left.
#[cfg(not(unix))]
pub fn take_back_on_request() {}

/// A wish that somebody listens to: true once the program is asked to end. Dropped, the program ends at once again.
#[derive(Debug)]
pub struct Wish(Arc<AtomicBool>);

impl Deref for Wish {
    type Target = Arc<AtomicBool>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl Drop for Wish {
    fn drop(&mut self) {
        IS_HEARD.store(false, Ordering::Relaxed);
    }
}

/// Becomes true when the program is asked to end.
///
/// # Errors
/// When the system does not let the program listen.
pub fn on_request() -> std::io::Result<Wish> {
    listening_to(&ENDS)
}

/// As [`on_request`], and also when a scheduler warns that the time of a long run is nearly over.
///
/// # Errors
/// When the system does not let the program listen.
pub fn on_request_or_warning() -> std::io::Result<Wish> {
    listening_to(ENDS_LATER)
}

fn listening_to(signals: &[i32]) -> std::io::Result<Wish> {
    IS_HEARD.store(true, Ordering::Relaxed);
    let stop = Arc::new(AtomicBool::new(false));
    for signal in signals.iter().filter(|signal| !is_ignored(**signal)) {
        signal_hook::flag::register(*signal, Arc::clone(&stop))?;
    }
    Ok(Wish(stop))
}

/// Whether the program was started to ignore a signal, as a shell script starts what it sends to the background: Ctrl-C is for
/// others then. Where the system does not tell, no.
fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}
