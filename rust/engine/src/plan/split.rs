//! Runs of a batch in chunks of whole items, each by one thread from the first step to the last.
//!
//! Threads that share every step wait for one another after each, and the values of a large batch leave the caches
//! between steps. A graph that is proven to treat each item of its batch by itself is run in chunks instead: with two
//! threads that is worth 3 to 5% of a batch of texts. Few rows are better shared step by step, because every thread
//! that runs the whole plan reads all the weights.

use super::{DimId, RunError};

/// Rows that a chunk aims at: its values stay in a second-level cache of 1 MiB.
pub(super) const ROWS: usize = 160;

/// Along which dimension a plan may be cut.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The name whose value is the number of items.
    pub name: usize,
    /// Which inputs have items; every result has them. Items are equal parts of such an array, in order.
    pub inputs: Vec<bool>,
    /// The rows of one item, for the size of chunks.
    pub rows: DimId,
}

/// How many items each chunk has; one chunk where the batch is not to be cut.
///
/// The chunks differ by one item at most, and there is a whole number of them for each thread where that is possible.
pub(super) fn chunks(items: usize, rows: usize, threads: usize) -> usize {
    let total = items.saturating_mul(rows);
    if total <= ROWS || items < 2 {
        return 1;
    }
    let wanted = total.div_ceil(ROWS).next_multiple_of(threads);
    wanted.min(items)
}

/// Where chunk `index` of `count` starts, in items.
pub(super) fn start(items: usize, count: usize, index: usize) -> usize {
    // As 128-bit numbers: the product may be beyond 64 bits, the quotient is not beyond `items`.
    (items as u128 * index as u128 / count as u128) as usize
}

/// The bytes of items `first..last` of an array of `items`.
pub(super) fn range(size: usize, items: usize, first: usize, last: usize) -> Result<std::ops::Range<usize>, RunError> {
    if !size.is_multiple_of(items) {
        return Err(RunError::Array(format!("an array of {size} bytes cannot be cut into {items} items")));
    }
    let item = size / items;
    Ok(first * item..last * item)
}

#[cfg(test)]
mod tests {
    use super::{ROWS, chunks, start};

    #[test]
    fn chunks_are_balanced_and_hold_every_item_once() {
        for items in [1, 2, 3, 7, 32, 100, 1000] {
            for rows in [1, 10, 40, 160, 512] {
                for threads in [1, 2, 3, 8] {
                    let count = chunks(items, rows, threads);
                    assert!((1..=items).contains(&count));
                    let sizes: Vec<usize> =
                        (0..count).map(|index| start(items, count, index + 1) - start(items, count, index)).collect();
                    assert_eq!(sizes.iter().sum::<usize>(), items);
                    assert!(sizes.iter().max().unwrap() - sizes.iter().min().unwrap() <= 1, "{sizes:?}");
                    assert!(count == 1 || count == items || count.is_multiple_of(threads), "{items} {rows} {threads}");
                    assert!(count > 1 || items == 1 || items * rows <= ROWS);
                }
            }
        }
    }
}
