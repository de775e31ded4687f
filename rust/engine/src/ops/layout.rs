//! The same numbers, elsewhere. Reshaping is not here: it is another name for a value.

use super::{Context, Kind, Op, Request, Tensor, TensorMut, Types};
use crate::plan::{BuildError, RunError};

pub(super) const KINDS: &[Kind] = &[
    Kind { name: "columns", types: Types::ALL_AND_4_BIT, make: columns },
    Kind { name: "identity", types: Types::ALL_AND_4_BIT, make: identity },
    Kind { name: "transpose", types: Types::ALL_AND_4_BIT, make: transpose },
];

/// A copy.
struct Identity;

fn identity(request: &Request<'_>) -> Result<Box<dyn Op>, BuildError> {
    request.operand(0)?;
    Ok(Box::new(Identity))
}

impl Op for Identity {
    fn label(&self) -> String {
        "identity".into()
    }

    fn run(&self, operands: &[Tensor<'_>], results: &mut [TensorMut<'_>], _: &mut Context<'_>) -> Result<(), RunError> {
        if operands[0].data.len() != results[0].data.len() {
            return Err(RunError::Operand(format!("a copy of {:?} as {:?}", operands[0].shape, results[0].shape)));
        }
        results[0].data.copy_from_slice(operands[0].data);
        Ok(())
    }
}

/// The axes in another order.
struct Transpose {
    permutation: Vec<usize>,
}

fn transpose(request: &Request<'_>) -> Result<Box<dyn Op>, BuildError> {
    let rank = request.operand(0)?.rank();
    let permutation = request.attributes.axes("permutation", rank)?;
    if permutation.len() != rank {
        return Err(BuildError::Attribute(format!("permutation {permutation:?} of {rank} axes")));
    }
    Ok(Box::new(Transpose { permutation }))
}

impl Op for Transpose {
    fn label(&self) -> String {
        "transpose".into()
    }

    fn run(
        &self,
        operands: &[Tensor<'_>],
        results: &mut [TensorMut<'_>],
        cx: &mut Context<'_>,
    ) -> Result<(), RunError> {
        let (x, out) = (&operands[0], &mut results[0]);
        let shape: Vec<usize> = self.permutation.iter().map(|axis| x.shape[*axis]).collect();
        if shape != out.shape || x.dtype != out.dtype {
            return Err(RunError::Operand(format!("{:?} as {:?}", x.shape, out.shape)));
        }
        let strides: Vec<usize> =
            self.permutation.iter().map(|axis| x.shape[axis + 1..].iter().product::<usize>()).collect();
        copy_strided(x.data, x.dtype.size(), &shape, &strides, out.data, cx);
        Ok(())
    }
}

/// Some columns of rows that are side by side; the attribute `offset` is the first one.
struct Columns {
    offset: usize,
}

fn columns(request: &Request<'_>) -> Result<Box<dyn Op>, BuildError> {
    request.operand(0)?;
    let offset = *request.attributes.int("offset")?;
    let offset = usize::try_from(offset).map_err(|_| BuildError::Attribute(format!("offset {offset}")))?;
    Ok(Box::new(Columns { offset }))
}

impl Op for Columns {
    fn label(&self) -> String {
        "columns".into()
    }

    fn run(
        &self,
        operands: &[Tensor<'_>],
        results: &mut [TensorMut<'_>],
        cx: &mut Context<'_>,
    ) -> Result<(), RunError> {
        let (x, out) = (&operands[0], &mut results[0]);
        let refuse = || RunError::Operand(format!("columns of {:?} from {} as {:?}", x.shape, self.offset, out.shape));
        let (Some((all, rows)), Some((own, own_rows))) = (x.shape.split_last(), out.shape.split_last()) else {
            return Err(refuse());
        };
        let is_inside = self.offset.checked_add(*own).is_some_and(|end| end <= *all);
        let count: usize = rows.iter().product();
        if count != own_rows.iter().product::<usize>() || x.dtype != out.dtype || !is_inside {
            return Err(refuse());
        }
        if out.data.is_empty() {
            return Ok(());
        }
        let size = x.dtype.size();
        copy_strided(&x.data[self.offset * size..], size, &[count, *own], &[*all, 1], out.data, cx);
        Ok(())
    }
}

/// Bytes that are worth a thread of their own.
const BYTES_PER_PIECE: usize = 1 << 18;

/// Writes `out`, of `shape`, reading each element at its position times `strides` (in elements of `size` bytes).
fn copy_strided(x: &[u8], size: usize, shape: &[usize], strides: &[usize], out: &mut [u8], cx: &Context<'_>) {
    if out.is_empty() {
        return;
    }
    // What is adjacent on both sides is one block.
    let (mut block, mut axes) = (1, shape.len());
    while axes > 0 && (shape[axes - 1] == 1 || strides[axes - 1] == block) {
        block *= shape[axes - 1];
        axes -= 1;
    }
    let (shape, strides) = (&shape[..axes], &strides[..axes]);
    let (row, stride) = (shape.last().copied().unwrap_or(1), strides.last().copied().unwrap_or(0));
    let bytes = row * block * size;
    let rows = (BYTES_PER_PIECE / bytes).max(1);
    let pieces = out.chunks_mut(rows * bytes).enumerate().collect();
    cx.for_each(pieces, |(number, piece): (usize, &mut [u8])| {
        for (index, dest) in piece.chunks_exact_mut(bytes).enumerate() {
            let (mut rest, mut from) = (number * rows + index, 0);
            for axis in (0..axes.saturating_sub(1)).rev() {
                from += rest % shape[axis] * strides[axis];
                rest /= shape[axis];
            }
            let source = &x[from * size..];
            match (block * size, size) {
                (4, 4) => gather_row::<4>(source, stride, dest),
                (8, 8) => gather_row::<8>(source, stride, dest),
                (2, 2) => gather_row::<2>(source, stride, dest),
                (1, 1) => gather_row::<1>(source, stride, dest),
                (bytes, _) => {
                    for (position, dest) in dest.chunks_exact_mut(bytes).enumerate() {
                        let first = position * stride * size;
                        dest.copy_from_slice(&source[first..first + bytes]);
                    }
                }
            }
        }
    });
}

/// Elements of `SIZE` bytes, `stride` elements apart.
fn gather_row<const SIZE: usize>(source: &[u8], stride: usize, dest: &mut [u8]) {
    let (source, _) = source.as_chunks::<SIZE>();
    let (dest, _) = dest.as_chunks_mut::<SIZE>();
    for (position, dest) in dest.iter_mut().enumerate() {
        *dest = source[position * stride];
    }
}

#[cfg(test)]
mod tests {
    use crate::ops::Attribute;
    use crate::ops::testing::{Given, run};
    use crate::plan::DataType::Float32;

    #[test]
    fn columns_are_cut_out_of_rows() {
        let x: Vec<f32> = (0..3 * 4 * 10).map(|i| i as f32).collect();
        for (offset, own) in [(0, 10), (3, 7), (9, 1), (4, 3)] {
            let rows = x.chunks_exact(10).flat_map(|row| row[offset..offset + own].to_vec());
            let given = [Given::new(Float32, &[3, 4, 10], &x)];
            let attributes = [("offset", Attribute::Int(offset as i64))];
            let found = run("columns", &given, &attributes, &[(Float32, &[12, own])], 1).unwrap();
            assert_eq!(found[0].elements::<f32>(), rows.collect::<Vec<_>>());
            assert!(run("columns", &given, &attributes, &[(Float32, &[12, own + 10 - offset])], 1).is_err());
        }
    }

    #[test]
    fn elements_move_with_their_axes() {
        let shape = [3, 4, 1, 5];
        let x: Vec<f32> = (0..60).map(|i| i as f32).collect();
        for permutation in [[0, 1, 2, 3], [0, 2, 1, 3], [3, 2, 1, 0], [1, 0, 2, 3], [0, 3, 2, 1], [2, 3, 0, 1]] {
            let out = permutation.map(|axis| shape[axis]);
            let want: Vec<f32> = (0..60)
                .map(|element| {
                    let (mut rest, mut position) = (element, [0; 4]);
                    for axis in (0..4).rev() {
                        position[permutation[axis]] = rest % out[axis];
                        rest /= out[axis];
                    }
                    position.iter().zip(shape).fold(0, |at, (p, size)| at * size + p) as f32
                })
                .collect();
            let attributes = [("permutation", Attribute::Ints(permutation.map(|axis| axis as i64).to_vec()))];
            let given = [Given::new(Float32, &shape, &x)];
            let found = run("transpose", &given, &attributes, &[(Float32, &out)], 2).unwrap();
            assert_eq!(found[0].elements::<f32>(), want, "{permutation:?}");
        }
    }
}
