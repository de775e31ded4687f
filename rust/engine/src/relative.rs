//! What attention adds to a score for the distance of query and key: one column of a row that each query, or each key, has.

use kernels::Rows;

use crate::Heads;

/// `factor * source[query][columns[query][key]]`, or `factor * source[key][columns[key][query]]`, for each score.
///
/// The position terms of disentangled attention (He et al., DeBERTa, 2021, equation 4): `source` is the product of queries, or
/// keys, with vectors for the distances there are.
#[derive(Clone, Copy, Debug)]
pub struct Relative<'a> {
    /// `[batch, heads, rows, distances]`.
    pub source: Heads<'a>,
    /// For queries and keys by their place in a text, all less than `distances`; rows of `stride` elements.
    pub columns: &'a [u32],
    /// From one row of `columns` to the next.
    pub stride: usize,
    /// Multiplied with what is read.
    pub factor: f32,
    /// Whether the rows are the keys'.
    pub is_by_key: bool,
}

/// Keys whose rows are read in turn for one query after another: a cache line of the sums.
const TOGETHER: usize = 16;

/// The scores of one head that are computed together: some queries of a text, and all its keys.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part {
    pub(crate) batch: usize,
    pub(crate) head: usize,
    /// The row of the text's first token.
    pub(crate) first: usize,
    /// The first query, counted in its text.
    pub(crate) start: usize,
    pub(crate) queries: usize,
    pub(crate) keys: usize,
}

/// The bias and the terms of a part, summed: `[queries, keys]` in `memory`.
pub(crate) fn sums<'a>(
    terms: &[Relative<'_>],
    bias: Option<Rows<'_>>,
    part: Part,
    memory: &'a mut Vec<f32>,
) -> Rows<'a> {
    memory.clear();
    memory.resize(part.queries * part.keys, 0.0);
    if let Some(bias) = bias {
        for (query, to) in memory.chunks_exact_mut(part.keys).enumerate() {
            to.copy_from_slice(bias.row(query));
        }
    }
    for term in terms {
        let rows = term.source.head(part.batch, part.head);
        if term.is_by_key {
            by_key(term, rows, part, memory);
        } else {
            by_query(term, rows, part, memory);
        }
    }
    Rows::contiguous(memory, part.keys)
}

fn by_query(term: &Relative<'_>, rows: Rows<'_>, part: Part, sums: &mut [f32]) {
    for (query, sums) in (part.start..).zip(sums.chunks_exact_mut(part.keys)) {
        let row = rows.row(part.first + query);
        let columns = &term.columns[query * term.stride..][..part.keys];
        for (sum, column) in sums.iter_mut().zip(columns) {
            *sum += term.factor * row[*column as usize];
        }
    }
}

fn by_key(term: &Relative<'_>, rows: Rows<'_>, part: Part, sums: &mut [f32]) {
    for first in (0..part.keys).step_by(TOGETHER) {
        let count = TOGETHER.min(part.keys - first);
        let sources: [(&[f32], &[u32]); TOGETHER] = std::array::from_fn(|index| {
            let key = first + index.min(count - 1);
            (rows.row(part.first + key), &term.columns[key * term.stride + part.start..][..part.queries])
        });
        for query in 0..part.queries {
            let sums = &mut sums[query * part.keys + first..][..count];
            for (sum, (row, columns)) in sums.iter_mut().zip(&sources) {
                *sum += term.factor * row[columns[query] as usize];
            }
        }
    }
}
