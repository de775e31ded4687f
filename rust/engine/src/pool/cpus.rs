//! On which CPUs threads run. Elsewhere than on Linux nothing is known of that, and nothing done.

/// Stands for a CPU that is not known.
pub(super) const UNKNOWN: usize = usize::MAX;

#[cfg(target_os = "linux")]
mod system {
    use rustix::thread::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity};

    /// The CPU that the calling thread runs on: 20 ns.
    pub(in super::super) fn here() -> usize {
        sched_getcpu()
    }

    /// Moves the calling thread to a CPU that it may run on and that `busy` does not have; `false` where there is none.
    ///
    /// Its affinity is afterwards what it was before, unless somebody changes it meanwhile: then that stays.
    pub(in super::super) fn move_away(busy: impl Iterator<Item = usize>) -> bool {
        let Ok(allowed) = sched_getaffinity(None) else { return false };
        let mut free = allowed;
        busy.filter(|cpu| *cpu < CpuSet::MAX_CPU).for_each(|cpu| free.unset(cpu));
        if free.count() == 0 || sched_setaffinity(None, &free).is_err() {
            return false;
        }
        if sched_getaffinity(None).is_ok_and(|now| now == free) {
            // An error would be of a thread that may run nowhere any more.
            let _ = sched_setaffinity(None, &allowed);
        }
        true
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    pub(in super::super) fn here() -> usize {
        super::UNKNOWN
    }

    pub(in super::super) fn move_away(_busy: impl Iterator<Item = usize>) -> bool {
        true
    }
}

pub(super) use system::{here, move_away};

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use rustix::thread::sched_getaffinity;

    use super::{here, move_away};

    #[test]
    fn a_thread_moves_if_it_can_and_keeps_its_affinity() {
        let allowed = sched_getaffinity(None).unwrap();
        let start = here();
        assert!(allowed.is_set(start));
        let moved = move_away([start, usize::MAX].into_iter());
        assert_eq!(moved, allowed.count() > 1);
        assert!(sched_getaffinity(None).unwrap() == allowed);
        assert!(!move_away(0..usize::from(u16::MAX)), "there is no other CPU");
        assert!(sched_getaffinity(None).unwrap() == allowed);
    }
}
