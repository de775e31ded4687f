//! Reading and writing single elements and slices by their coordinates. Indices are clamped as in `indexing`.

use super::indexing::{check_indices, position, positions, wide};
use super::{Context, Kind, Op, Request, Tensor, TensorMut, Types};
use crate::plan::{BuildError, RunError};

pub(super) const KINDS: &[Kind] = &[
    Kind { name: "gatherElements", types: Types::ALL_AND_4_BIT, make: |request| along_axis(request, false) },
    Kind { name: "gatherND", types: Types::ALL_AND_4_BIT, make: |request| slices(request, false) },
    Kind { name: "scatterElements", types: Types::ALL_AND_4_BIT, make: |request| along_axis(request, true) },
    Kind { name: "scatterND", types: Types::ALL_AND_4_BIT, make: |request| slices(request, true) },
];

/// Bytes that are worth a thread of their own; single elements cost more than their bytes.
const BYTES_PER_PIECE: usize = 1 << 16;

/// Elements at their own place but with one coordinate replaced by the index: read, or replaced by updates.
struct AlongAxis {
    axis: usize,
    scatters: bool,
}

fn check(request: &Request<'_>, scatters: bool) -> Result<(), BuildError> {
    let x = request.operand(0)?;
    check_indices(request, 1)?;
    let updates = if scatters { Some(request.operand(2)?.dtype) } else { None };
    if updates.is_some_and(|dtype| dtype != x.dtype) || request.result()?.dtype != x.dtype {
        return Err(BuildError::Value(format!("{}: operands or results of several types", request.kind)));
    }
    Ok(())
}

fn along_axis(request: &Request<'_>, scatters: bool) -> Result<Box<dyn Op>, BuildError> {
    check(request, scatters)?;
    let x = request.operand(0)?;
    if request.operand(1)?.rank() != x.rank() {
        return Err(BuildError::Value(format!("{}: indices of another rank", request.kind)));
    }
    Ok(Box::new(AlongAxis { axis: request.attributes.axis("axis", x.rank())?, scatters }))
}

/// The result becomes a copy of the operand, where it is not already.
fn copy(x: &Tensor<'_>, out: &mut TensorMut<'_>, cx: &Context<'_>) -> Result<(), RunError> {
    if x.shape != out.shape {
        return Err(RunError::Operand(format!("{:?} as {:?}", x.shape, out.shape)));
    }
    if cx.in_place.is_none() {
        out.data.copy_from_slice(x.data);
    }
    Ok(())
}

impl Op for AlongAxis {
    fn label(&self) -> String {
        (if self.scatters { "scatterElements" } else { "gatherElements" }).into()
    }

    fn in_place(&self) -> &[usize] {
        if self.scatters { &[0] } else { &[] }
    }

    fn run(
        &self,
        operands: &[Tensor<'_>],
        results: &mut [TensorMut<'_>],
        cx: &mut Context<'_>,
    ) -> Result<(), RunError> {
        let (x, indices, out) = (&operands[0], &operands[1], &mut results[0]);
        let (size, count) = (x.shape[self.axis], indices.shape[self.axis]);
        let is_own = |axis: usize| axis == self.axis || indices.shape[axis] == x.shape[axis];
        if !(0..x.shape.len()).all(is_own) {
            return Err(RunError::Operand(format!("indices of {:?} for {:?}", indices.shape, x.shape)));
        }
        if size == 0 && indices.count() > 0 {
            return Err(RunError::NoElements("reads from an axis of no elements".into()));
        }
        let inner: usize = x.shape[self.axis + 1..].iter().product();
        let positions = positions(indices, size);
        let bytes = x.dtype.size();
        // The element that an index is about, in the operand.
        let place = |element: usize| {
            let (outer, rest) = (element / (count * inner), element % inner);
            ((outer * size + positions[element]) * inner + rest) * bytes
        };
        if self.scatters {
            let updates = &operands[2];
            if updates.shape != indices.shape {
                return Err(RunError::Operand(format!("updates of {:?} for {:?}", updates.shape, indices.shape)));
            }
            copy(x, out, cx)?;
            for (element, update) in updates.data.chunks_exact(bytes).enumerate() {
                out.data[place(element)..][..bytes].copy_from_slice(update);
            }
            return Ok(());
        }
        if out.shape != indices.shape {
            return Err(RunError::Operand(format!("a result of shape {:?}", out.shape)));
        }
        let pieces = out.data.chunks_mut(BYTES_PER_PIECE).enumerate().collect();
        cx.for_each(pieces, |(number, piece): (usize, &mut [u8])| {
            for (index, dest) in piece.chunks_exact_mut(bytes).enumerate() {
                dest.copy_from_slice(&x.data[place(number * BYTES_PER_PIECE / bytes + index)..][..bytes]);
            }
        });
        Ok(())
    }
}

/// Slices at coordinates of the leading axes, which the last axis of the indices holds: read, or replaced by updates.
struct Slices {
    scatters: bool,
}

fn slices(request: &Request<'_>, scatters: bool) -> Result<Box<dyn Op>, BuildError> {
    check(request, scatters)?;
    if request.operand(1)?.rank() == 0 {
        return Err(BuildError::Value(format!("{}: indices without an axis", request.kind)));
    }
    Ok(Box::new(Slices { scatters }))
}

impl Op for Slices {
    fn label(&self) -> String {
        (if self.scatters { "scatterND" } else { "gatherND" }).into()
    }

    fn in_place(&self) -> &[usize] {
        if self.scatters { &[0] } else { &[] }
    }

    fn run(
        &self,
        operands: &[Tensor<'_>],
        results: &mut [TensorMut<'_>],
        cx: &mut Context<'_>,
    ) -> Result<(), RunError> {
        let (x, indices, out) = (&operands[0], &operands[1], &mut results[0]);
        let (depth, outer) = indices.shape.split_last().ok_or_else(|| RunError::Operand("no indices".into()))?;
        if *depth > x.shape.len() {
            return Err(RunError::Operand(format!("{depth} coordinates for {:?}", x.shape)));
        }
        let (leading, inner) = x.shape.split_at(*depth);
        let count: usize = outer.iter().product();
        let bytes = inner.iter().product::<usize>() * x.dtype.size();
        let written = if self.scatters { operands[2].data.len() } else { out.data.len() };
        if written != count * bytes {
            return Err(RunError::Operand(format!("{written} bytes for {count} slices of {bytes}")));
        }
        if written > 0 && leading.contains(&0) {
            return Err(RunError::NoElements("reads from an axis of no elements".into()));
        }
        let indices = wide(indices);
        let place = |slice: usize| {
            let coordinates = &indices[slice * depth..][..*depth];
            coordinates.iter().zip(leading).fold(0, |at, (index, size)| at * size + position(*index, *size)) * bytes
        };
        if self.scatters {
            copy(x, out, cx)?;
            for (slice, update) in operands[2].data.chunks_exact(bytes.max(1)).enumerate() {
                out.data[place(slice)..][..bytes].copy_from_slice(update);
            }
        } else {
            // Slices of no bytes are none.
            let bytes = bytes.max(1);
            let slices = (BYTES_PER_PIECE / bytes).max(1);
            let pieces = out.data.chunks_mut(slices * bytes).enumerate().collect();
            cx.for_each(pieces, |(number, piece): (usize, &mut [u8])| {
                for (index, dest) in piece.chunks_exact_mut(bytes).enumerate() {
                    dest.copy_from_slice(&x.data[place(number * slices + index)..][..bytes]);
                }
            });
        }
        Ok(())
    }
}
