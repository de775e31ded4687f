//! Reading by index. Indices from -n to -1 count from the end; others out of range are clamped.

use super::{Context, Kind, Op, Request, Tensor, TensorMut, Types};
use crate::plan::{BuildError, DataType, RunError};

pub(super) const KINDS: &[Kind] = &[Kind { name: "gather", types: Types::ALL_AND_4_BIT, make: gather }];

/// Bytes that are worth a thread of their own.
const BYTES_PER_PIECE: usize = 1 << 18;

/// Whole slices along an axis, in the order and shape of the indices.
struct Gather {
    axis: usize,
}

fn gather(request: &Request<'_>) -> Result<Box<dyn Op>, BuildError> {
    let x = request.operand(0)?;
    check_indices(request, 1)?;
    if request.result()?.dtype != x.dtype {
        return Err(BuildError::Value("gather: the result has another type".into()));
    }
    Ok(Box::new(Gather { axis: request.attributes.axis("axis", x.rank())? }))
}

impl Op for Gather {
    fn label(&self) -> String {
        "gather".into()
    }

    fn run(
        &self,
        operands: &[Tensor<'_>],
        results: &mut [TensorMut<'_>],
        cx: &mut Context<'_>,
    ) -> Result<(), RunError> {
        let (x, indices, out) = (&operands[0], &operands[1], &mut results[0]);
        let size = x.shape[self.axis];
        let outer: usize = x.shape[..self.axis].iter().product();
        let inner = x.shape[self.axis + 1..].iter().product::<usize>() * x.dtype.size();
        let positions = positions(indices, size);
        if out.data.len() != outer * positions.len() * inner {
            return Err(RunError::Operand(format!("a result of shape {:?}", out.shape)));
        }
        if out.data.is_empty() {
            return Ok(());
        }
        if size == 0 {
            return Err(RunError::NoElements("reads from an axis of no elements".into()));
        }
        let count = (BYTES_PER_PIECE / inner).max(1);
        let pieces = out.data.chunks_mut(count * inner).enumerate().collect();
        cx.for_each(pieces, |(number, piece)| {
            for (index, dest) in piece.chunks_exact_mut(inner).enumerate() {
                let slice = number * count + index;
                let from = (slice / positions.len() * size + positions[slice % positions.len()]) * inner;
                dest.copy_from_slice(&x.data[from..from + inner]);
            }
        });
        Ok(())
    }
}

/// Where each index points, along an axis of `size` elements.
pub(super) fn positions(indices: &Tensor<'_>, size: usize) -> Vec<usize> {
    match indices.dtype {
        DataType::Int32 => indices.elements::<i32>().iter().map(|index| position(i64::from(*index), size)).collect(),
        DataType::Uint32 => indices.elements::<u32>().iter().map(|index| position(i64::from(*index), size)).collect(),
        _ => indices.elements::<i64>().iter().map(|index| position(*index, size)).collect(),
    }
}

/// Where an index points, along an axis of `size` elements; 0 where there are none.
pub(super) fn position(index: i64, size: usize) -> usize {
    let last = size as i64 - 1;
    (if index < 0 { index.saturating_add(size as i64) } else { index }).min(last).max(0) as usize
}

/// The indices themselves.
pub(super) fn wide(indices: &Tensor<'_>) -> Vec<i64> {
    match indices.dtype {
        DataType::Int32 => indices.elements::<i32>().iter().map(|index| i64::from(*index)).collect(),
        DataType::Uint32 => indices.elements::<u32>().iter().map(|index| i64::from(*index)).collect(),
        _ => indices.elements::<i64>().to_vec(),
    }
}

/// Refuses what is no type of indices.
pub(super) fn check_indices(request: &Request<'_>, position: usize) -> Result<(), BuildError> {
    let dtype = request.operand(position)?.dtype;
    if matches!(dtype, DataType::Int32 | DataType::Uint32 | DataType::Int64) {
        return Ok(());
    }
    Err(request.unsupported(format!("indices of {dtype}")))
}

#[cfg(test)]
mod tests {
    use crate::ops::Attribute;
    use crate::ops::testing::{Given, run};
    use crate::plan::DataType;

    #[test]
    fn slices_are_read_where_the_clamped_indices_point() {
        let shape = [3, 4, 5];
        let x: Vec<f32> = (0..60).map(|i| i as f32).collect();
        let indices = [0_i64, -1, 2, 9, -9, i64::MIN];
        let clamp =
            |index: i64, size: i64| (if index < 0 { index.saturating_add(size) } else { index }).clamp(0, size - 1);
        for (axis, size) in shape.iter().enumerate() {
            let (outer, inner) = (shape[..axis].iter().product::<usize>(), shape[axis + 1..].iter().product::<usize>());
            let mut want = Vec::new();
            for o in 0..outer {
                for index in indices {
                    let first = (o * size + clamp(index, *size as i64) as usize) * inner;
                    want.extend_from_slice(&x[first..first + inner]);
                }
            }
            let out = [&shape[..axis], &[2, 3], &shape[axis + 1..]].concat();
            let given = [Given::new(DataType::Float32, &shape, &x), Given::new(DataType::Int64, &[2, 3], &indices)];
            let attributes = [("axis", Attribute::Int(axis as i64))];
            let found = run("gather", &given, &attributes, &[(DataType::Float32, &out)], 2).unwrap();
            assert_eq!(found[0].elements::<f32>(), want, "axis {axis}");
        }
    }

    #[test]
    fn an_axis_that_is_none_is_refused() {
        let given = [Given::new(DataType::Int8, &[2], &[1_i8, 2]), Given::new(DataType::Int32, &[1], &[0_i32])];
        for axis in [-1, 1] {
            let attributes = [("axis", Attribute::Int(axis))];
            assert!(run("gather", &given, &attributes, &[(DataType::Int8, &[1])], 1).is_err());
        }
    }
}
