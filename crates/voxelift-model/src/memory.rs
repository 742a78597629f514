//! Layer 0 · How much memory this process takes, where the system tells.
//!
//! ```
//! use voxelift_model::memory::{available, expect_room, side_by_side};
//!
//! // Ask before the work is begun, where the system tells what is left.
//! if let Some(left) = available() {
//!     let error = expect_room("a scan of the whole body", left.saturating_mul(4)).unwrap_err();
//!     println!("{error}");
//!     assert!(error.needed > error.left);
//! }
//! // Work as large as that goes on alone.
//! assert_eq!(side_by_side(u64::MAX), 1);
//! ```

use std::fs;

/// What is in memory now.
///
/// # Units
/// Bytes; `None` where the system does not tell.
#[cfg(target_os = "linux")]
pub fn resident() -> Option<u64> {
    status("VmRSS:")
}

/// What is in memory now.
///
/// # Units
/// Bytes; `None` where the system does not tell.
#[cfg(not(target_os = "linux"))]
pub fn resident() -> Option<u64> {
    let process = sysinfo::get_current_pid().ok()?;
    let mut system = sysinfo::System::new();
    system.refresh_processes(sysinfo::ProcessesToUpdate::Some(&[process]), false);
    system.process(process).map(sysinfo::Process::memory)
}

/// The most that has been in memory at once.
///
/// # Units
/// Bytes; told on Linux only.
pub fn peak() -> Option<u64> {
    status("VmHWM:")
}

/// The most that another process, by its number, has had in memory at once.
///
/// # Units
/// Bytes; told on Linux only, and `None` too once it has ended.
pub fn peak_of(process: u32) -> Option<u64> {
    field(&format!("/proc/{process}/status"), "VmHWM:")
}

/// What the process may still take: what the machine could give without swapping, less where the shell (`ulimit -v`) or the
/// container (its cgroup) gives less.
///
/// # Units
/// As [`resident`].
pub fn available() -> Option<u64> {
    let bounds = [left_in_machine(), left_in_shell(), left_in_container()];
    bounds.into_iter().flatten().min()
}

#[cfg(target_os = "linux")]
fn left_in_machine() -> Option<u64> {
    field("/proc/meminfo", "MemAvailable:")
}

#[cfg(not(target_os = "linux"))]
fn left_in_machine() -> Option<u64> {
    let mut system = sysinfo::System::new();
    system.refresh_memory();
    match system.available_memory() {
        // No answer: `sysinfo` gives 0 where it cannot tell.
        0 => None,
        bytes => Some(bytes),
    }
}

/// What `ulimit -v` lets a process take, where it does not let it take all.
///
/// # Units
/// As [`resident`].
pub fn address_limit() -> Option<u64> {
    let text = fs::read_to_string("/proc/self/limits").ok()?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("Max address space"))?;
    line.split_whitespace().next()?.parse().ok()
}

fn left_in_shell() -> Option<u64> {
    Some(address_limit()?.saturating_sub(status("VmSize:")?))
}

/// Of the second version of cgroups; a first one shows the limit of the whole machine or none.
fn left_in_container() -> Option<u64> {
    let number = |name: &str| -> Option<u64> {
        let text = fs::read_to_string(format!("/sys/fs/cgroup/{name}")).ok()?;
        text.trim().parse().ok()
    };
    Some(number("memory.max")?.saturating_sub(number("memory.current")?))
}

/// Work that takes more memory than there is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{what} takes about {} MiB of memory, and {} MiB are left (of the machine, its container or `ulimit -v`)",
    needed.div_ceil(1 << 20),
    left.div_ceil(1 << 20)
)]
pub struct NoRoom {
    /// The work.
    pub what: String,
    /// Bytes that it takes.
    pub needed: u64,
    /// Bytes that are left.
    pub left: u64,
}

/// Refuses work of so many bytes where they cannot be had.
///
/// # Errors
/// Naming both numbers.
pub fn expect_room(what: &str, bytes: u64) -> Result<(), NoRoom> {
    match available() {
        Some(left) if left < bytes => Err(NoRoom {
            what: what.to_owned(),
            needed: bytes,
            left,
        }),
        _ => Ok(()),
    }
}

/// How many pieces of work of so many bytes go on side by side: one a thread, as far as half of what is left allows.
pub fn side_by_side(bytes: u64) -> usize {
    let fit = available().unwrap_or(u64::MAX) / 2 / bytes.max(1);
    rayon::current_num_threads().min(fit as usize).max(1)
}

fn status(name: &str) -> Option<u64> {
    field("/proc/self/status", name)
}

/// A line such as `VmRSS:     1234 kB`.
fn field(path: &str, name: &str) -> Option<u64> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn work_that_cannot_be_had_is_refused_with_both_numbers() {
        assert!(expect_room("this", 1 << 20).is_ok());
        let message = expect_room("this", 1 << 60).unwrap_err().to_string();
        assert!(
            message.contains("this takes about 1099511627776 MiB"),
            "{message}"
        );
        assert!(message.contains("MiB are left"), "{message}");
    }

    #[test]
    fn memory_that_is_taken_is_seen() {
        let before = resident().expect("told by Linux");
        // Much more than what the tests beside this one give back meanwhile.
        let block = std::hint::black_box(vec![1_u8; 512 << 20]);
        let with = resident().expect("told by Linux");
        assert!(
            with >= before + (256 << 20),
            "{before} to {with} with {} more",
            block.len()
        );
        assert!(peak() >= Some(with) && available() > Some(0));
    }
}
