//! Results whose elements are elements of an operand: along each axis a list says which position is read.

use super::Context;
use crate::plan::RunError;

/// In a list: nothing is read, the filling stands there.
pub(super) const FILL: usize = usize::MAX;

/// Bytes that are worth a thread of their own.
pub(super) const BYTES_PER_PIECE: usize = 1 << 18;

/// Rows shorter than this are joined, as long as they do not become longer than that.
const SHORT: usize = 64;
const LONG: usize = 1 << 14;

/// Writes `out`: its element at `[i, j, ..]` is that of `x` at `[lists[0][i], lists[1][j], ..]`.
///
/// # Errors
///
/// The sizes do not fit together, or a list reads beyond its axis.
pub(super) fn look_up(
    (x, shape): (&[u8], &[usize]),
    lists: &[Vec<usize>],
    filling: &[u8],
    out: &mut [u8],
    cx: &Context<'_>,
) -> Result<(), RunError> {
    let size = filling.len();
    let count: usize = lists.iter().map(Vec::len).product();
    let is_inside = lists.len() == shape.len()
        && lists.iter().zip(shape).all(|(list, size)| list.iter().all(|place| *place == FILL || place < size));
    if out.len() != count * size || x.len() != shape.iter().product::<usize>() * size || !is_inside {
        return Err(RunError::Operand(format!("{} bytes of {shape:?} from {} bytes", out.len(), x.len())));
    }
    if out.is_empty() {
        return Ok(());
    }
    // Inner axes that are taken whole are one block.
    let (mut block, mut axes) = (size, lists.len());
    while axes > 0 && lists[axes - 1].iter().copied().eq(0..shape[axes - 1]) {
        block *= shape[axes - 1];
        axes -= 1;
    }
    let Some((list, _)) = lists[..axes].split_last() else {
        out.copy_from_slice(x);
        return Ok(());
    };
    // Axes are joined until a row is worth finding where it starts.
    let (mut list, mut span) = (list.clone(), shape[axes - 1]);
    axes -= 1;
    while axes > 0 && list.len() < SHORT && list.len() * lists[axes - 1].len() <= LONG {
        let size = span;
        let join = |a: usize, b: usize| if a == FILL || b == FILL { FILL } else { a * size + b };
        list = lists[axes - 1].iter().flat_map(|a| list.iter().map(move |b| join(*a, *b))).collect();
        span *= shape[axes - 1];
        axes -= 1;
    }
    let (list, outer) = (&list[..], &lists[..axes]);
    let runs = runs(list);
    let row = list.len() * block;
    let rows = (BYTES_PER_PIECE / row).max(1);
    let pieces = out.chunks_mut(rows * row).enumerate().collect();
    cx.for_each(pieces, |(number, piece): (usize, &mut [u8])| {
        for (index, dest) in piece.chunks_exact_mut(row).enumerate() {
            match start(number * rows + index, outer, shape) {
                None => fill(dest, filling),
                Some(from) => {
                    let source = &x[from * span * block..][..span * block];
                    match block {
                        1 => copy_row::<1>(source, list, &runs, filling, dest),
                        2 => copy_row::<2>(source, list, &runs, filling, dest),
                        4 => copy_row::<4>(source, list, &runs, filling, dest),
                        8 => copy_row::<8>(source, list, &runs, filling, dest),
                        _ => copy_runs(source, &runs, block, filling, dest),
                    }
                }
            }
        }
    });
    Ok(())
}

/// Where a row is read, in rows of the operand; `None` where one of its positions is filling.
fn start(mut row: usize, outer: &[Vec<usize>], shape: &[usize]) -> Option<usize> {
    let (mut from, mut stride) = (0, 1);
    for (list, size) in outer.iter().zip(shape).rev() {
        let place = list[row % list.len()];
        if place == FILL {
            return None;
        }
        from += place * stride;
        row /= list.len();
        stride *= size;
    }
    Some(from)
}

/// Adjacent positions, or filling: where the run is in the result, where it is read, and how long it is.
struct Run {
    to: usize,
    from: usize,
    count: usize,
}

fn runs(list: &[usize]) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for (to, from) in list.iter().copied().enumerate() {
        match runs.last_mut() {
            Some(run) if run.from == FILL && from == FILL => run.count += 1,
            Some(run) if run.from != FILL && from != FILL && run.from + run.count == from => run.count += 1,
            _ => runs.push(Run { to, from, count: 1 }),
        }
    }
    runs
}

/// Single elements where runs are short, as in a reversal: a call for each would cost more than the element.
fn copy_row<const SIZE: usize>(source: &[u8], list: &[usize], runs: &[Run], filling: &[u8], dest: &mut [u8]) {
    if runs.len() * 8 <= list.len() || filling.len() != SIZE {
        return copy_runs(source, runs, SIZE, filling, dest);
    }
    let (source, _) = source.as_chunks::<SIZE>();
    let (dest, _) = dest.as_chunks_mut::<SIZE>();
    for (dest, place) in dest.iter_mut().zip(list) {
        match source.get(*place) {
            Some(element) => *dest = *element,
            None => dest.copy_from_slice(filling),
        }
    }
}

fn copy_runs(source: &[u8], runs: &[Run], block: usize, filling: &[u8], dest: &mut [u8]) {
    for run in runs {
        let dest = &mut dest[run.to * block..][..run.count * block];
        if run.from == FILL {
            fill(dest, filling);
        } else {
            dest.copy_from_slice(&source[run.from * block..][..run.count * block]);
        }
    }
}

fn fill(dest: &mut [u8], filling: &[u8]) {
    if filling.iter().all(|byte| *byte == filling[0]) {
        dest.fill(filling[0]);
    } else {
        dest.chunks_exact_mut(filling.len()).for_each(|dest| dest.copy_from_slice(filling));
    }
}
