//! How many threads this process should compute on.

use std::collections::BTreeSet;
use std::fs::read_to_string;

/// One thread for each core this process may use: its CPU affinity, two hardware threads of a core counted once, and
/// cut by the quota of its cgroup, of either version.
///
/// The vector units are what the engine waits for, and hardware threads of a core share them.
pub fn default_threads() -> usize {
    // Affinity and quota, in hardware threads.
    let allowed = std::thread::available_parallelism().map_or(1, usize::from);
    cores().map_or(allowed, |cores| allowed.min(cores)).max(1)
}

/// The cores under the CPUs of this process's affinity; `None` where the system does not tell.
fn cores() -> Option<usize> {
    let status = read_to_string("/proc/self/status").ok()?;
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
    let siblings = |cpu: usize| {
        let path = format!("/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list");
        parse(read_to_string(path).ok()?.trim()).into_iter().next()
    };
    // A CPU whose core is not told counts as one.
    let cores: BTreeSet<usize> = parse(list.trim()).into_iter().map(|cpu| siblings(cpu).unwrap_or(cpu)).collect();
    (!cores.is_empty()).then_some(cores.len())
}

/// The numbers of a list such as `0-3,8,10-11`; what is not one is left out.
fn parse(list: &str) -> Vec<usize> {
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.parse().ok()?..=last.parse().ok()?)
    };
    list.split(',').filter_map(range).flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::{default_threads, parse};

    #[test]
    fn lists_of_cpus_are_read_as_the_kernel_writes_them() {
        assert_eq!(parse("0-3,8,10-11"), [0, 1, 2, 3, 8, 10, 11]);
        assert_eq!(parse("5"), [5]);
        assert!(parse("").is_empty());
        assert!(parse("what").is_empty());
    }

    #[test]
    fn there_is_at_least_one_thread_and_no_more_than_the_affinity_allows() {
        let allowed = std::thread::available_parallelism().unwrap().get();
        assert!((1..=allowed).contains(&default_threads()));
    }
}
