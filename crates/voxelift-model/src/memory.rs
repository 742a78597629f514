//! Floor 0 · How much memory this process takes, where the system tells.

use std::fs;

/// What is in memory now.
///
/// # Units
/// Bytes; `None` where the system does not tell (it does on Linux).
pub fn resident() -> Option<u64> {
    status("VmRSS:")
}

/// The most that has been in memory at once.
///
/// # Units
/// As [`resident`].
pub fn peak() -> Option<u64> {
    status("VmHWM:")
}

/// The most that another process, by its number, has had in memory at once.
///
/// # Units
/// As [`resident`]; `None` too once it has ended.
pub fn peak_of(process: u32) -> Option<u64> {
    field(&format!("/proc/{process}/status"), "VmHWM:")
}

/// What the machine could still give without swapping.
///
/// # Units
/// As [`resident`].
pub fn available() -> Option<u64> {
    field("/proc/meminfo", "MemAvailable:")
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
