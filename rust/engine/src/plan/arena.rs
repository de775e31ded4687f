//! The memory of one run, and the arenas that a plan keeps for its next ones.

use std::sync::Mutex;

use crate::pool::lock_soon;

/// Alignment of an arena and of everything in it: a cache line, and a vector of AVX-512.
pub(crate) const ALIGNMENT: usize = 64;

/// Memory that starts on a cache line; it grows and stays.
#[derive(Debug, Default)]
pub(crate) struct Arena {
    store: Vec<u128>,
}

impl Arena {
    /// The first `size` bytes, with whatever is in them; `None` where the system does not have as many.
    pub(crate) fn bytes(&mut self, size: usize) -> Option<&mut [u8]> {
        let words = size.checked_add(ALIGNMENT)?.div_ceil(size_of::<u128>());
        if self.store.len() < words {
            // Nothing of the old numbers is needed, so there is nothing to copy. An allocation that fails elsewhere ends
            // the process.
            self.store = Vec::new();
            self.store.try_reserve_exact(words).ok()?;
            self.store.resize(words, 0);
        }
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut self.store);
        let start = bytes.as_ptr().align_offset(ALIGNMENT);
        Some(&mut bytes[start..start + size])
    }
}

/// Arenas that no run is using. A run that finds them locked has one of its own.
#[derive(Debug, Default)]
pub(crate) struct Arenas {
    pub(super) idle: Mutex<Vec<Arena>>,
}

impl Arenas {
    /// Calls `work` with an arena, which is kept afterwards unless `most` are kept already.
    pub(crate) fn with<R>(&self, most: usize, work: impl FnOnce(&mut Arena) -> R) -> R {
        let mut arena = lock_soon(&self.idle).and_then(|mut idle| idle.pop()).unwrap_or_default();
        let result = work(&mut arena);
        if let Some(mut idle) = lock_soon(&self.idle).filter(|idle| idle.len() < most) {
            idle.push(arena);
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use super::{ALIGNMENT, Arena};

    #[test]
    fn an_arena_starts_on_a_cache_line_and_does_not_shrink() {
        let mut arena = Arena::default();
        for size in [0, 1, 63, 1000, 64, 5] {
            let bytes = arena.bytes(size).unwrap();
            assert_eq!((bytes.len(), bytes.as_ptr().align_offset(ALIGNMENT)), (size, 0));
        }
        arena.bytes(1000).unwrap()[999] = 7;
        assert_eq!(arena.bytes(1000).unwrap()[999], 7);
    }

    #[test]
    fn memory_that_no_system_has_is_refused() {
        let mut arena = Arena::default();
        for size in [1 << 60, usize::MAX, usize::MAX - ALIGNMENT] {
            assert!(arena.bytes(size).is_none());
        }
        assert_eq!(arena.bytes(5).unwrap().len(), 5);
    }
}
