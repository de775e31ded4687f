//! Memory for packed weights, on huge pages where the system has them.
//!
//! A short text reads every weight once. On pages of 4 KiB that is bound by address translation, not by memory: one
//! core of an AMD EPYC (25/17) reads 18.4 GB/s through them and 31 to 36 GB/s through pages of 2 MiB. Linux gives these
//! only to whole aligned 2 MiB, and most matrices are smaller: they share chunks. [10, 384] x [384, 1536] with the
//! matrices streamed runs at 19.8 instead of 12.8 GB/s, with 7 rows at 24 instead of 14.5, with 1 row at 21 instead of 16.5.

use std::fmt;
use std::ops::{Deref, DerefMut, Range};
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, Weak};

use crate::packed::Line;

const HUGE_PAGE: usize = 2 << 20;
/// Bytes of a chunk, unless one matrix needs more. What is not used of it is never touched, and so not resident.
const CHUNK: usize = 16 << 20;

/// What unwinds where the system has no memory for so many bytes: nobody has made a mistake, so no message is printed.
#[derive(Clone, Copy, Debug)]
pub struct NoMemory(pub usize);

/// Lines that begin as zeros and that nobody else has, or that lie in bytes which are only read.
#[derive(Debug)]
pub struct Lines(Place);

#[derive(Debug)]
enum Place {
    Own(Own),
    Kept(Kept),
}

/// Lines in a chunk, which nobody else has.
#[derive(Debug)]
struct Own {
    start: NonNull<Line>,
    count: usize,
    /// Keeps the memory mapped.
    _chunk: Arc<Chunk>,
}

// SAFETY: the lines are reached through this value only, as those of a Vec are, and its chunk is never written otherwise.
unsafe impl Send for Own {}
// SAFETY: as above; a shared reference only reads.
unsafe impl Sync for Own {}

/// Bytes that lie still as long as they are kept: those of a mapped file.
pub type Bytes = Arc<dyn AsRef<[u8]> + Send + Sync>;

/// Lines in bytes that somebody else may read as well.
struct Kept {
    bytes: Bytes,
    range: Range<usize>,
}

impl Kept {
    /// The lines, if the bytes have the range and it is lines.
    fn lines(&self) -> Option<&[Line]> {
        let bytes = (*self.bytes).as_ref().get(self.range.clone())?;
        // SAFETY: a line is sixteen floats without gaps, and all bits are a float.
        let (before, lines, after) = unsafe { bytes.align_to() };
        (before.is_empty() && after.is_empty()).then_some(lines)
    }
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kept").field("range", &self.range).finish_non_exhaustive()
    }
}

/// The chunk that the next lines come from, while any are left of it, and how many of its bytes are given away.
static CURRENT: Mutex<(Weak<Chunk>, usize)> = Mutex::new((Weak::new(), 0));

impl Lines {
    /// `count` lines of zeros.
    ///
    /// # Panics
    ///
    /// With [`NoMemory`], where the system does not have as many.
    pub fn zeroed(count: usize) -> Self {
        let bytes = count.checked_mul(size_of::<Line>()).expect("more lines than there is memory");
        // In use by another thread, or for good in a child that was forked just then: lines from a chunk of their own.
        let mut current = CURRENT.try_lock().ok();
        let open = current.as_ref().and_then(|current| Some((current.0.upgrade()?, current.1)));
        let (chunk, offset) = match open {
            Some((chunk, used)) if chunk.bytes - used >= bytes => (chunk, used),
            _ => (Arc::new(Chunk::new(CHUNK.max(bytes.next_multiple_of(HUGE_PAGE)))), 0),
        };
        if let Some(current) = &mut current {
            **current = (Arc::downgrade(&chunk), offset + bytes);
        }
        // SAFETY: `offset + bytes` is at most the size of the chunk.
        let start = unsafe { chunk.start.add(offset) }.cast();
        Self(Place::Own(Own { start, count, _chunk: chunk }))
    }

    /// The lines that these bytes are; `None` where they are not there, not aligned, or no whole lines.
    pub fn kept(bytes: Bytes, range: Range<usize>) -> Option<Self> {
        let kept = Kept { bytes, range };
        kept.lines().is_some().then_some(Self(Place::Kept(kept)))
    }

    /// The bytes of the lines.
    pub fn as_bytes(&self) -> &[u8] {
        // SAFETY: a line is sixteen floats without gaps, and bytes may be any.
        unsafe { std::slice::from_raw_parts(self.as_ptr().cast(), size_of_val::<[Line]>(self)) }
    }
}

impl Deref for Lines {
    type Target = [Line];

    fn deref(&self) -> &[Line] {
        match &self.0 {
            // SAFETY: the lines lie in the chunk, which is mapped as long as `self` is; they began as zeros, which are
            // floats; offsets are multiples of a line's size in a chunk that begins on a page, so they are aligned.
            Place::Own(own) => unsafe { std::slice::from_raw_parts(own.start.as_ptr(), own.count) },
            Place::Kept(kept) => kept.lines().expect("bytes that lie still"),
        }
    }
}

impl DerefMut for Lines {
    fn deref_mut(&mut self) -> &mut [Line] {
        match &mut self.0 {
            // SAFETY: as in `deref`, and no other Lines has any of these bytes: each was given away once.
            Place::Own(own) => unsafe { std::slice::from_raw_parts_mut(own.start.as_ptr(), own.count) },
            Place::Kept(_) => panic!("lines that others read too are written"),
        }
    }
}

impl Clone for Lines {
    fn clone(&self) -> Self {
        let mut copy = Self::zeroed(self.len());
        copy.copy_from_slice(self);
        copy
    }
}

/// Memory of zeros from the system.
#[derive(Debug)]
struct Chunk {
    start: NonNull<u8>,
    bytes: usize,
    mapping: Mapping,
}

// SAFETY: a chunk itself touches its memory only when it is made and when it is dropped.
unsafe impl Send for Chunk {}
// SAFETY: as above.
unsafe impl Sync for Chunk {}

#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
mod system {
    use std::ffi::{c_int, c_void};
    use std::panic::resume_unwind;
    use std::ptr::{NonNull, null_mut};

    use super::{Chunk, HUGE_PAGE, NoMemory};

    // As in the headers of Linux, the same on every 64-bit architecture that Rust has a table for.
    const PROT_READ_WRITE: c_int = 3;
    const MAP_PRIVATE_ANONYMOUS: c_int = 0x22;
    const MADV_HUGEPAGE: c_int = 14;

    // The standard library links the C library that has these.
    unsafe extern "C" {
        fn mmap(
            at: *mut c_void,
            bytes: usize,
            protection: c_int,
            flags: c_int,
            file: c_int,
            offset: i64,
        ) -> *mut c_void;
        fn munmap(at: *mut c_void, bytes: usize) -> c_int;
        fn madvise(at: *mut c_void, bytes: usize, advice: c_int) -> c_int;
    }

    /// What was mapped, of which the chunk is the part that begins on a huge page.
    #[derive(Debug)]
    pub(super) struct Mapping {
        at: *mut c_void,
        bytes: usize,
    }

    impl Chunk {
        /// At least `bytes` bytes of zeros, a multiple of a huge page.
        pub(super) fn new(bytes: usize) -> Self {
            let mapped = bytes + HUGE_PAGE;
            // SAFETY: a new anonymous mapping at an address of the system's choice touches nothing that exists.
            let at = unsafe { mmap(null_mut(), mapped, PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS, -1, 0) };
            if at.addr() == usize::MAX {
                resume_unwind(Box::new(NoMemory(bytes)));
            }
            let skip = at.addr().next_multiple_of(HUGE_PAGE) - at.addr();
            // SAFETY: less than a huge page is skipped, and the mapping is `bytes` and one of these.
            let start = unsafe { at.add(skip) };
            // SAFETY: the range lies in the mapping. It is advice: a system that has no huge pages may refuse it.
            unsafe { madvise(start, bytes, MADV_HUGEPAGE) };
            let start = NonNull::new(start.cast()).expect("mappings are not at address zero");
            Self { start, bytes, mapping: Mapping { at, bytes: mapped } }
        }
    }

    impl Drop for Chunk {
        fn drop(&mut self) {
            // SAFETY: exactly what `new` mapped, and all the Lines in it are gone: each held the chunk.
            unsafe { munmap(self.mapping.at, self.mapping.bytes) };
        }
    }
}

#[cfg(not(all(target_os = "linux", target_pointer_width = "64")))]
mod system {
    use std::alloc::{Layout, alloc_zeroed, dealloc};
    use std::panic::resume_unwind;
    use std::ptr::NonNull;

    use super::{Chunk, NoMemory};

    pub(super) type Mapping = Layout;

    impl Chunk {
        /// `bytes` bytes of zeros, more than none.
        pub(super) fn new(bytes: usize) -> Self {
            let mapping = Layout::from_size_align(bytes, 4096).expect("a chunk of weights that fits into memory");
            // SAFETY: the layout has a size.
            let start = unsafe { alloc_zeroed(mapping) };
            let start = NonNull::new(start).unwrap_or_else(|| resume_unwind(Box::new(NoMemory(bytes))));
            Self { start, bytes, mapping }
        }
    }

    impl Drop for Chunk {
        fn drop(&mut self) {
            // SAFETY: allocated by `new` with this layout, and all the Lines in it are gone: each held the chunk.
            unsafe { dealloc(self.start.as_ptr(), self.mapping) }
        }
    }
}

use system::Mapping;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{Bytes, CHUNK, Lines};
    use crate::packed::Line;

    #[repr(align(64))]
    struct Aligned([u8; 256]);

    impl AsRef<[u8]> for Aligned {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }

    #[test]
    fn kept_bytes_are_lines_where_they_are_whole_and_aligned() {
        let bytes: Bytes = Arc::new(Aligned(std::array::from_fn(|index| index as u8)));
        let lines = Lines::kept(Arc::clone(&bytes), 64..192).unwrap();
        assert_eq!(lines.as_bytes(), &(*bytes).as_ref()[64..192]);
        assert_eq!(lines.clone().as_bytes(), lines.as_bytes());
        assert_eq!(Lines::kept(Arc::clone(&bytes), 64..64).unwrap().len(), 0);
        for range in [32..96, 0..63, 0..65, 192..320, 256..320, 320..384] {
            assert!(Lines::kept(Arc::clone(&bytes), range.clone()).is_none(), "{range:?}");
        }
    }

    #[test]
    fn lines_are_zeros_of_their_own_and_aligned() {
        let sizes = [0, 1, 1000, 3, CHUNK / 64 - 5, 77, CHUNK / 64 + 1, 0, 5];
        let mut all: Vec<Lines> = sizes.iter().map(|count| Lines::zeroed(*count)).collect();
        for (number, lines) in all.iter_mut().enumerate() {
            assert_eq!(lines.len(), sizes[number]);
            assert!(lines.as_ptr().is_aligned());
            assert!(lines.iter().all(|line| *line == Line::default()), "lines {number}");
            lines.fill(Line([number as f32 + 1.0; 16]));
        }
        let copy = all[6].clone();
        for (number, lines) in all.iter().enumerate() {
            assert!(lines.iter().all(|line| line.0 == [number as f32 + 1.0; 16]), "lines {number}");
        }
        drop(all);
        assert!(copy.iter().all(|line| line.0 == [7.0; 16]));
    }
}
