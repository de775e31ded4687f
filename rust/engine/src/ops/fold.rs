//! How reductions walk: which numbers are adjacent, which columns, and in which order they are accumulated.

use std::marker::PhantomData;

use super::numbers::Element;
use super::{Context, Op, Request, Tensor, TensorMut};
use crate::plan::{BuildError, RunError};

/// Lanes that adjacent numbers go to in turn.
const LANES: usize = 16;
/// Columns that are reduced at a time: their sums stay in the first cache.
const COLUMNS: usize = 64;
/// Numbers that are worth a thread of their own.
const PIECE: usize = 1 << 14;

/// A reduction of `T` in sums of `A`.
struct Reduce<T, A, S, J, F> {
    label: String,
    axes: Vec<usize>,
    start: A,
    /// Accumulates one more number.
    step: S,
    /// Joins what two lanes have accumulated.
    join: J,
    /// The result from what was accumulated, and how many numbers that was.
    finish: F,
    /// Whether there has to be a number.
    needs_one: bool,
    element: PhantomData<fn(T)>,
}

/// The axes of the attribute `axes`; all of them where there is none.
pub(super) fn axes(request: &Request<'_>) -> Result<Vec<usize>, BuildError> {
    let rank = request.operand(0)?.rank();
    match request.attributes.optional_ints("axes")? {
        None => Ok((0..rank).collect()),
        Some(_) => request.attributes.axes("axes", rank),
    }
}

/// A reduction that starts from something; `needs_one` says whether there has to be a number.
pub(super) fn made<T: Element + 'static, A: Copy + Send + Sync + 'static>(
    request: &Request<'_>,
    (start, needs_one): (A, bool),
    step: impl Fn(A, T) -> A + Send + Sync + 'static,
    join: impl Fn(A, A) -> A + Send + Sync + 'static,
    finish: impl Fn(A, usize) -> T + Send + Sync + 'static,
) -> Result<Box<dyn Op>, BuildError> {
    let (x, out) = (request.operand(0)?, request.result()?);
    if out.dtype != x.dtype {
        return Err(BuildError::Value(format!("{}: the result has another type", request.kind)));
    }
    let (label, axes) = (request.kind.into(), axes(request)?);
    Ok(Box::new(Reduce { label, axes, start, step, join, finish, needs_one, element: PhantomData }))
}

/// Sizes in turn kept and reduced, adjacent axes of one sort joined: `[kept, reduced, kept, reduced, ..]`.
fn groups(shape: &[usize], axes: &[usize]) -> Vec<usize> {
    let mut groups = vec![1];
    for (axis, size) in shape.iter().enumerate().filter(|(_, size)| **size != 1) {
        let is_reduced = axes.contains(&axis);
        if is_reduced != groups.len().is_multiple_of(2) {
            groups.push(1);
        }
        let last = groups.len() - 1;
        groups[last] *= size;
    }
    groups
}

/// Where the elements of some groups are, relative to the first one.
fn offsets(groups: &[usize], first: usize) -> Vec<usize> {
    let mut offsets = vec![0];
    for (index, size) in groups.iter().enumerate().filter(|(index, _)| index % 2 == first % 2) {
        let stride: usize = groups[index + 1..].iter().product();
        offsets = offsets.iter().flat_map(|at| (0..*size).map(move |step| at + step * stride)).collect();
    }
    offsets
}

impl<T, A, S, J, F> Op for Reduce<T, A, S, J, F>
where
    T: Element,
    A: Copy + Send + Sync,
    S: Fn(A, T) -> A + Send + Sync,
    J: Fn(A, A) -> A + Send + Sync,
    F: Fn(A, usize) -> T + Send + Sync,
{
    fn label(&self) -> String {
        self.label.clone()
    }

    fn run(
        &self,
        operands: &[Tensor<'_>],
        results: &mut [TensorMut<'_>],
        cx: &mut Context<'_>,
    ) -> Result<(), RunError> {
        let (x, shape) = (operands[0].elements::<T>(), operands[0].shape);
        let out = results[0].elements::<T>();
        let count: usize = self.axes.iter().map(|axis| shape[*axis]).product();
        let kept: usize = (0..shape.len()).filter(|axis| !self.axes.contains(axis)).map(|axis| shape[axis]).product();
        if out.len() != kept {
            return Err(RunError::Operand(format!("{} results; must be {kept}", out.len())));
        }
        if count == 0 && self.needs_one && !out.is_empty() {
            return Err(RunError::NoElements("reduces no elements".into()));
        }
        if x.is_empty() {
            out.fill((self.finish)(self.start, count));
            return Ok(());
        }
        let groups = groups(shape, &self.axes);
        match groups[..] {
            [_] => spread(out, 1, cx, |first, out| {
                for (out, x) in out.iter_mut().zip(&x[first..]) {
                    *out = (self.finish)((self.step)(self.start, *x), 1);
                }
            }),
            [_, row] => spread(out, row, cx, |first, out| {
                for (out, row) in out.iter_mut().zip(x[first * row..].chunks_exact(row)) {
                    *out = (self.finish)(self.row(row), count);
                }
            }),
            [_, rows, cols] => spread(out, rows, cx, |first, out| {
                let mut done = 0;
                while done < out.len() {
                    let (outer, col) = ((first + done) / cols, (first + done) % cols);
                    let width = COLUMNS.min(cols - col).min(out.len() - done);
                    let mut sums = [self.start; COLUMNS];
                    for row in 0..rows {
                        let from = (outer * rows + row) * cols + col;
                        for (sum, x) in sums.iter_mut().zip(&x[from..from + width]) {
                            *sum = (self.step)(*sum, *x);
                        }
                    }
                    for (out, sum) in out[done..].iter_mut().zip(&sums[..width]) {
                        *out = (self.finish)(*sum, count);
                    }
                    done += width;
                }
            }),
            _ => {
                let (kept, reduced) = (offsets(&groups, 0), offsets(&groups, 1));
                spread(out, count, cx, |first, out| {
                    for (out, at) in out.iter_mut().zip(&kept[first..]) {
                        let total = reduced.iter().fold(self.start, |sum, step| (self.step)(sum, x[at + step]));
                        *out = (self.finish)(total, count);
                    }
                });
            }
        }
        Ok(())
    }
}

impl<T: Element, A: Copy, S: Fn(A, T) -> A, J: Fn(A, A) -> A, F> Reduce<T, A, S, J, F> {
    fn row(&self, row: &[T]) -> A {
        let mut lanes = [self.start; LANES];
        let (whole, rest) = row.as_chunks::<LANES>();
        for chunk in whole {
            for (lane, x) in lanes.iter_mut().zip(chunk) {
                *lane = (self.step)(*lane, *x);
            }
        }
        for (lane, x) in lanes.iter_mut().zip(rest) {
            *lane = (self.step)(*lane, *x);
        }
        for distance in [8, 4, 2, 1] {
            for lane in 0..distance {
                lanes[lane] = (self.join)(lanes[lane], lanes[lane + distance]);
            }
        }
        lanes[0]
    }
}

/// Calls `work` for pieces of a result, each element of which takes `each` operations, with where the piece starts.
pub(super) fn spread<T: Send>(out: &mut [T], each: usize, cx: &Context<'_>, work: impl Fn(usize, &mut [T]) + Sync) {
    let size = (PIECE / each.max(1)).max(1);
    cx.for_each(out.chunks_mut(size).enumerate().collect(), |(number, piece)| work(number * size, piece));
}
