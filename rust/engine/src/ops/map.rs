//! One element of a result from one element of an operand, or from those of two or three that are stretched to it.

use super::broadcast::Broadcast;
use super::numbers::Element;
use super::{Context, Tensor, TensorMut};
use crate::plan::RunError;

/// Elements of a piece of work: a few microseconds for arithmetic, and small enough to stay in the first cache.
const PIECE: usize = 1 << 13;

/// `f` of each element, in place where the plan says so.
pub(super) fn map<T: Element>(
    x: &Tensor<'_>,
    result: &mut TensorMut<'_>,
    cx: &Context<'_>,
    f: impl Fn(T) -> T + Sync,
) -> Result<(), RunError> {
    if cx.in_place.is_none() {
        return convert(x, result, cx, f);
    }
    let pieces = result.elements::<T>().chunks_mut(PIECE).collect();
    cx.for_each(pieces, |piece: &mut [T]| piece.iter_mut().for_each(|out| *out = f(*out)));
    Ok(())
}

/// `f` of each element, as a value of another type.
pub(super) fn convert<T: Element, U: Element>(
    x: &Tensor<'_>,
    result: &mut TensorMut<'_>,
    cx: &Context<'_>,
    f: impl Fn(T) -> U + Sync,
) -> Result<(), RunError> {
    let (x, out) = (x.elements::<T>(), result.elements::<U>());
    if x.len() != out.len() {
        return Err(RunError::Operand(format!("{} results of {} elements", out.len(), x.len())));
    }
    let pieces = out.chunks_mut(PIECE).zip(x.chunks(PIECE)).collect();
    cx.for_each(pieces, |(out, x): (&mut [U], &[T])| {
        out.iter_mut().zip(x).for_each(|(out, x)| *out = f(*x));
    });
    Ok(())
}

/// A row of pairs: `[steps]` says which operand stays where it is.
pub(super) type Pairs<'a, T> = ([&'a [T]; 2], [usize; 2]);

/// `f` of each pair of elements; the operand that is computed in place is read from the result.
pub(super) fn zip<T: Element>(
    [a, b]: [&Tensor<'_>; 2],
    result: &mut TensorMut<'_>,
    cx: &Context<'_>,
    f: impl Fn(T, T) -> T + Copy + Sync,
) -> Result<(), RunError> {
    let walk = Broadcast::new(result.shape, [a.shape, b.shape])?;
    let (a, b) = (a.elements::<T>(), b.elements::<T>());
    let in_place = cx.in_place;
    rows(&walk, result.elements::<T>(), cx, |out, starts, steps| match in_place {
        Some(0) => one(out, &b[starts[1]..], steps[1], f),
        Some(_) => one(out, &a[starts[0]..], steps[0], |out, a| f(a, out)),
        None => two(out, ([&a[starts[0]..], &b[starts[1]..]], steps), f),
    });
    Ok(())
}

/// `f` of each pair of elements, as a value of another type.
pub(super) fn zip_to<T: Element, U: Element>(
    [a, b]: [&Tensor<'_>; 2],
    result: &mut TensorMut<'_>,
    cx: &Context<'_>,
    f: impl Fn(T, T) -> U + Copy + Sync,
) -> Result<(), RunError> {
    let walk = Broadcast::new(result.shape, [a.shape, b.shape])?;
    let (a, b) = (a.elements::<T>(), b.elements::<T>());
    rows(&walk, result.elements::<U>(), cx, |out, starts, steps| {
        two(out, ([&a[starts[0]..], &b[starts[1]..]], steps), f);
    });
    Ok(())
}

/// Calls `row` for each part of a run of the result, with where each operand starts and how far it moves.
pub(super) fn rows<U: Element, const N: usize>(
    walk: &Broadcast<N>,
    out: &mut [U],
    cx: &Context<'_>,
    row: impl Fn(&mut [U], [usize; N], [usize; N]) + Sync,
) {
    if out.is_empty() {
        return;
    }
    let (run, steps) = (walk.run(), walk.steps());
    // Whole runs a piece, or parts of a run where there is only one.
    let size = if walk.runs() == 1 { PIECE } else { run * (PIECE / run).max(1) };
    let pieces = out.chunks_mut(size).enumerate().collect();
    cx.for_each(pieces, |(number, piece): (usize, &mut [U])| {
        for (index, out) in piece.chunks_mut(run).enumerate() {
            let element = number * size + index * run;
            let mut starts = walk.start(element / run);
            for (start, step) in starts.iter_mut().zip(steps) {
                *start += element % run * step;
            }
            row(out, starts, steps);
        }
    });
}

#[inline(always)]
fn one<T: Element>(out: &mut [T], other: &[T], step: usize, f: impl Fn(T, T) -> T) {
    if step == 0 {
        let other = other[0];
        out.iter_mut().for_each(|out| *out = f(*out, other));
    } else {
        out.iter_mut().zip(other).for_each(|(out, other)| *out = f(*out, *other));
    }
}

#[inline(always)]
fn two<T: Element, U: Element>(out: &mut [U], ([a, b], steps): Pairs<'_, T>, f: impl Fn(T, T) -> U) {
    match steps {
        [0, 0] => out.fill(f(a[0], b[0])),
        [0, _] => out.iter_mut().zip(b).for_each(|(out, b)| *out = f(a[0], *b)),
        [_, 0] => out.iter_mut().zip(a).for_each(|(out, a)| *out = f(*a, b[0])),
        _ => out.iter_mut().zip(a).zip(b).for_each(|((out, a), b)| *out = f(*a, *b)),
    }
}
