//! Operands joined along an axis, and one cut into parts.

use super::lookup::BYTES_PER_PIECE;
use super::{Context, Kind, Op, Request, Tensor, TensorMut, Types};
use crate::plan::{BuildError, RunError};

pub(super) const KINDS: &[Kind] = &[
    Kind { name: "concat", types: Types::ALL_AND_4_BIT, make: concat },
    Kind { name: "split", types: Types::ALL_AND_4_BIT, make: split },
];

/// Operands one after the other along an axis.
struct Concat {
    axis: usize,
}

fn concat(request: &Request<'_>) -> Result<Box<dyn Op>, BuildError> {
    let out = request.result()?;
    let axis = request.attributes.axis("axis", out.rank())?;
    let all_fit = request.operands.iter().all(|operand| {
        operand.as_ref().is_some_and(|operand| operand.dtype == out.dtype && operand.rank() == out.rank())
    });
    if !all_fit {
        return Err(BuildError::Value("concat: operands of several types or ranks".into()));
    }
    Ok(Box::new(Concat { axis }))
}

impl Op for Concat {
    fn label(&self) -> String {
        "concat".into()
    }

    fn run(
        &self,
        operands: &[Tensor<'_>],
        results: &mut [TensorMut<'_>],
        cx: &mut Context<'_>,
    ) -> Result<(), RunError> {
        let out = &mut results[0];
        let (outer, inner) = (&out.shape[..self.axis], &out.shape[self.axis + 1..]);
        let block = inner.iter().product::<usize>() * out.dtype.size();
        let fits = |x: &Tensor<'_>| x.shape[..self.axis] == *outer && x.shape[self.axis + 1..] == *inner;
        let total: usize = operands.iter().map(|x| x.shape[self.axis]).sum();
        if !operands.iter().all(fits) || total != out.shape[self.axis] {
            return Err(RunError::Operand(format!("the operands do not add up to {:?}", out.shape)));
        }
        let row = total * block;
        if out.data.is_empty() {
            return Ok(());
        }
        let parts: Vec<_> = operands.iter().map(|x| (x.data, x.shape[self.axis] * block)).collect();
        if row < BYTES_PER_PIECE {
            let rows = BYTES_PER_PIECE / row;
            let pieces = out.data.chunks_mut(rows * row).enumerate().collect();
            cx.for_each(pieces, |(number, piece): (usize, &mut [u8])| {
                for (index, mut dest) in piece.chunks_exact_mut(row).enumerate() {
                    for (source, size) in &parts {
                        let (own, rest) = dest.split_at_mut(*size);
                        own.copy_from_slice(&source[(number * rows + index) * size..][..*size]);
                        dest = rest;
                    }
                }
            });
            return Ok(());
        }
        let mut pieces = Vec::new();
        for (index, mut dest) in out.data.chunks_exact_mut(row).enumerate() {
            for (source, size) in &parts {
                let (own, rest) = dest.split_at_mut(*size);
                let source = &source[index * size..][..*size];
                pieces.extend(own.chunks_mut(BYTES_PER_PIECE).zip(source.chunks(BYTES_PER_PIECE)));
                dest = rest;
            }
        }
        cx.for_each(pieces, |(dest, source)| dest.copy_from_slice(source));
        Ok(())
    }
}

/// Consecutive parts along an axis; how large each is, its shape says.
struct Split {
    axis: usize,
}

fn split(request: &Request<'_>) -> Result<Box<dyn Op>, BuildError> {
    let x = request.operand(0)?;
    let axis = request.attributes.axis("axis", x.rank())?;
    if request.results.iter().any(|out| out.dtype != x.dtype || out.rank() != x.rank()) {
        return Err(BuildError::Value("split: results of another type or rank".into()));
    }
    Ok(Box::new(Split { axis }))
}

impl Op for Split {
    fn label(&self) -> String {
        "split".into()
    }

    fn run(
        &self,
        operands: &[Tensor<'_>],
        results: &mut [TensorMut<'_>],
        cx: &mut Context<'_>,
    ) -> Result<(), RunError> {
        let x = &operands[0];
        let (outer, inner) = (&x.shape[..self.axis], &x.shape[self.axis + 1..]);
        let fits = |out: &TensorMut<'_>| out.shape[..self.axis] == *outer && out.shape[self.axis + 1..] == *inner;
        let total: usize = results.iter().map(|out| out.shape[self.axis]).sum();
        if !results.iter().all(fits) || total != x.shape[self.axis] {
            return Err(RunError::Operand(format!("the results do not add up to {:?}", x.shape)));
        }
        let block = inner.iter().product::<usize>() * x.dtype.size();
        let row = total * block;
        let mut first = 0;
        for out in results {
            let own = out.shape[self.axis] * block;
            // A part of no bytes has no rows to copy.
            let width = own.max(1);
            let rows = (BYTES_PER_PIECE / width).max(1);
            let pieces = out.data.chunks_mut(rows * width).enumerate().collect();
            cx.for_each(pieces, |(number, piece): (usize, &mut [u8])| {
                for (index, dest) in piece.chunks_exact_mut(width).enumerate() {
                    dest.copy_from_slice(&x.data[(number * rows + index) * row + first..][..own]);
                }
            });
            first += own;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::ops::Attribute;
    use crate::ops::testing::{Given, run};
    use crate::plan::DataType::Uint8;

    #[test]
    fn parts_are_joined_to_what_they_were_cut_from() {
        let x: Vec<u8> = (0..2 * 11 * 3).collect();
        for widths in [vec![11], vec![1, 10], vec![0, 4, 0, 7]] {
            let shapes: Vec<[usize; 3]> = widths.iter().map(|width| [2, *width, 3]).collect();
            let results: Vec<_> = shapes.iter().map(|shape| (Uint8, &shape[..])).collect();
            let axis = [("axis", Attribute::Int(1))];
            let parts = run("split", &[Given::new(Uint8, &[2, 11, 3], &x)], &axis, &results, 2).unwrap();
            let parts: Vec<_> = parts
                .iter()
                .zip(&shapes)
                .map(|(part, shape)| Given::new::<u8>(Uint8, shape, part.elements()))
                .collect();
            let joined = run("concat", &parts, &axis, &[(Uint8, &[2, 11, 3])], 2).unwrap();
            assert_eq!(joined[0].elements::<u8>(), x, "{widths:?}");
        }
    }

    #[test]
    fn what_does_not_add_up_is_refused() {
        let x = Given::new(Uint8, &[2, 3], &[1_u8; 6]);
        let axis = [("axis", Attribute::Int(1))];
        assert!(run("concat", &[x], &axis, &[(Uint8, &[2, 4])], 1).is_err());
    }
}
