//! The wish to stop: Ctrl-C, the end of the session, and the warning of a cluster's scheduler.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use signal_hook::consts::{SIGINT, SIGTERM};

/// What asks a program to end, on every system.
const ENDS: [i32; 2] = [SIGINT, SIGTERM];

/// What asks a long run to keep its state and end: SIGUSR1 is what schedulers send before the time is over.
#[cfg(unix)]
const ENDS_LATER: &[i32] = &[SIGINT, SIGTERM, signal_hook::consts::SIGUSR1];
#[cfg(not(unix))]
const ENDS_LATER: &[i32] = &ENDS;

/// Becomes true when the program is asked to end.
///
/// # Errors
/// When the system does not let the program listen.
pub fn on_request() -> std::io::Result<Arc<AtomicBool>> {
    listening_to(&ENDS)
}

/// As [`on_request`], and also when a scheduler warns that the time of a long run is nearly over.
///
/// # Errors
/// When the system does not let the program listen.
pub fn on_request_or_warning() -> std::io::Result<Arc<AtomicBool>> {
    listening_to(ENDS_LATER)
}

fn listening_to(signals: &[i32]) -> std::io::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in signals {
        signal_hook::flag::register(*signal, Arc::clone(&stop))?;
    }
    Ok(stop)
}
