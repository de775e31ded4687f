//! The same numbers in other places: windows, borders, repetitions and reversals.

use super::lookup::{FILL, look_up};
use super::numbers::narrow_once;
use super::{Context, Kind, Number, Op, Request, Tensor, TensorMut, Types};
use crate::plan::{BuildError, DataType, DimId, RunError};

pub(super) const KINDS: &[Kind] = &[
    Kind { name: "expand", types: Types::ALL_AND_4_BIT, make: |request| select(request, Selection::Expand) },
    Kind { name: "pad", types: Types::ALL, make: pad },
    Kind { name: "reverse", types: Types::ALL_AND_4_BIT, make: reverse },
    Kind { name: "slice", types: Types::ALL_AND_4_BIT, make: slice },
    Kind { name: "tile", types: Types::ALL_AND_4_BIT, make: |request| select(request, Selection::Tile) },
    Kind { name: "triangular", types: Types::ALL_AND_4_BIT, make: triangular },
];

/// A result that reads its operand by a list of positions for each axis.
struct Select {
    label: String,
    selection: Selection,
    /// The bytes of one element outside the operand.
    filling: Vec<u8>,
}

enum Selection {
    Expand,
    Tile,
    Reverse(Vec<usize>),
    Slice { starts: Vec<DimId>, sizes: Vec<DimId>, strides: Vec<DimId> },
    Pad { before: Vec<DimId>, mode: Border },
}

#[derive(Clone, Copy)]
enum Border {
    Constant,
    Edge,
    Reflection,
}

fn select(request: &Request<'_>, selection: Selection) -> Result<Box<dyn Op>, BuildError> {
    Ok(Box::new(selected(request, selection)?))
}

fn selected(request: &Request<'_>, selection: Selection) -> Result<Select, BuildError> {
    let (x, out) = (request.operand(0)?, request.result()?);
    let ranks_fit = match selection {
        Selection::Expand => x.rank() <= out.rank(),
        _ => x.rank() == out.rank(),
    };
    if x.dtype != out.dtype || !ranks_fit {
        return Err(BuildError::Value(format!("{}: {x:?} as {out:?}", request.kind)));
    }
    Ok(Select { label: request.kind.into(), selection, filling: vec![0; x.dtype.size()] })
}

fn reverse(request: &Request<'_>) -> Result<Box<dyn Op>, BuildError> {
    let rank = request.operand(0)?.rank();
    let axes = match request.attributes.optional_ints("axes")? {
        None => (0..rank).collect(),
        Some(_) => request.attributes.axes("axes", rank)?,
    };
    select(request, Selection::Reverse(axes))
}

/// A list of dimensions, one for each axis.
fn per_axis(request: &Request<'_>, name: &str) -> Result<Vec<DimId>, BuildError> {
    let rank = request.operand(0)?.rank();
    match request.attributes.optional_dims(name) {
        Ok(Some(dims)) if dims.len() == rank => Ok(dims.to_vec()),
        // An empty list has no type.
        _ if rank == 0 => Ok(Vec::new()),
        _ => Err(BuildError::Attribute(format!("{}: '{name}' must have {rank} dimensions", request.kind))),
    }
}

fn slice(request: &Request<'_>) -> Result<Box<dyn Op>, BuildError> {
    let [starts, sizes, strides] = ["starts", "sizes", "strides"].map(|name| per_axis(request, name));
    select(request, Selection::Slice { starts: starts?, sizes: sizes?, strides: strides? })
}

fn pad(request: &Request<'_>) -> Result<Box<dyn Op>, BuildError> {
    let mode = match request.attributes.text("mode")? {
        "constant" => Border::Constant,
        "edge" => Border::Edge,
        "reflection" => Border::Reflection,
        other => return Err(request.unsupported(other)),
    };
    let dtype = request.operand(0)?.dtype;
    let value = request.attributes.optional_exact_number("value")?.unwrap_or(Number::Int(0));
    let selection = Selection::Pad { before: per_axis(request, "beginningPadding")?, mode };
    Ok(Box::new(Select { filling: bytes_of(value, dtype), ..selected(request, selection)? }))
}

/// A number as an element: floats to the nearest; for integers limited to the range, then rounded half to even.
fn bytes_of(value: Number, dtype: DataType) -> Vec<u8> {
    macro_rules! integers {
        ($($dtype:pat => $type:ty),*) => {
            match dtype {
                DataType::Float32 => (value.float() as f32).to_ne_bytes().to_vec(),
                DataType::Float16 => narrow_once(value.float()).to_ne_bytes().to_vec(),
                $($dtype => match value {
                    Number::Float(x) => x.round_ties_even() as $type,
                    Number::Int(x) => <$type>::try_from(x).unwrap_or(if x < 0 { <$type>::MIN } else { <$type>::MAX }),
                }.to_ne_bytes().to_vec(),)*
            }
        };
    }
    integers!(
        DataType::Int32 => i32,
        DataType::Uint32 => u32,
        DataType::Int64 => i64,
        DataType::Uint64 => u64,
        DataType::Int8 | DataType::Int4 => i8,
        DataType::Uint8 | DataType::Uint4 => u8
    )
}

impl Selection {
    /// For each axis of the result, the positions that are read.
    fn lists(&self, x: &[usize], out: &[usize], cx: &Context<'_>) -> Result<Vec<Vec<usize>>, RunError> {
        let refuse = |axis: usize| RunError::Operand(format!("axis {axis} of {x:?} cannot become that of {out:?}"));
        let list = |axis: usize, size: usize, goal: usize| -> Option<Vec<usize>> {
            Some(match self {
                Self::Expand if size == goal => (0..goal).collect(),
                Self::Expand if size == 1 => vec![0; goal],
                Self::Tile if size > 0 && goal.is_multiple_of(size) => (0..goal).map(|place| place % size).collect(),
                Self::Tile if goal == 0 => Vec::new(),
                Self::Reverse(axes) if size == goal && axes.contains(&axis) => (0..goal).rev().collect(),
                Self::Reverse(_) if size == goal => (0..goal).collect(),
                Self::Slice { starts, sizes, strides } => {
                    let number = |id: DimId| usize::try_from(cx.dim(id)).ok();
                    let (start, window) = (number(starts[axis])?, number(sizes[axis])?);
                    let stride = number(strides[axis]).filter(|stride| *stride > 0)?;
                    let is_inside = start.checked_add(window).is_some_and(|end| end <= size);
                    if !is_inside || window.div_ceil(stride) != goal {
                        return None;
                    }
                    (start..start + window).step_by(stride).collect()
                }
                Self::Pad { before, mode } => {
                    let before = cx.dim(before[axis]);
                    before.checked_add(size as i64).filter(|end| before >= 0 && *end <= goal as i64)?;
                    let last = size as i64 - 1;
                    let place = |index: i64| {
                        let own = index - before;
                        let found = match mode {
                            _ if (0..=last).contains(&own) => own,
                            Border::Constant => return Some(FILL),
                            Border::Edge => own.min(last).max(0),
                            Border::Reflection if own < 0 => -own,
                            Border::Reflection => 2 * last - own,
                        };
                        (0..=last).contains(&found).then_some(found as usize)
                    };
                    return (0..goal as i64).map(place).collect();
                }
                _ => return None,
            })
        };
        let ranks = x.len().min(out.len());
        let (new, own) = out.split_at(out.len() - ranks);
        if ranks < x.len() {
            return Err(refuse(0));
        }
        // New axes of `expand` repeat the one position that there is.
        let mut lists: Vec<_> = new.iter().map(|goal| vec![0; *goal]).collect();
        for (axis, (size, goal)) in x.iter().zip(own).enumerate() {
            lists.push(list(axis, *size, *goal).ok_or_else(|| refuse(axis))?);
        }
        Ok(lists)
    }
}

impl Op for Select {
    fn label(&self) -> String {
        self.label.clone()
    }

    fn run(
        &self,
        operands: &[Tensor<'_>],
        results: &mut [TensorMut<'_>],
        cx: &mut Context<'_>,
    ) -> Result<(), RunError> {
        let (x, out) = (&operands[0], &mut results[0]);
        if out.data.is_empty() {
            // Beside an axis of no elements another one may be longer than any list.
            return Ok(());
        }
        let lists = self.selection.lists(x.shape, out.shape, cx)?;
        let mut shape = vec![1; lists.len() - x.shape.len()];
        shape.extend_from_slice(x.shape);
        look_up((x.data, &shape), &lists, &self.filling, out.data, cx)
    }
}

/// The part of each matrix on one side of a diagonal, the diagonal included; zeros elsewhere.
struct Triangular {
    upper: bool,
    diagonal: i64,
}

fn triangular(request: &Request<'_>) -> Result<Box<dyn Op>, BuildError> {
    let (x, out) = (request.operand(0)?, request.result()?);
    if x.rank() < 2 || x.dtype != out.dtype {
        return Err(BuildError::Value(format!("triangular: {x:?} as {out:?}")));
    }
    let (upper, diagonal) = (*request.attributes.bool("upper")?, *request.attributes.int("diagonal")?);
    Ok(Box::new(Triangular { upper, diagonal }))
}

impl Op for Triangular {
    fn label(&self) -> String {
        "triangular".into()
    }

    fn in_place(&self) -> &[usize] {
        &[0]
    }

    fn run(
        &self,
        operands: &[Tensor<'_>],
        results: &mut [TensorMut<'_>],
        cx: &mut Context<'_>,
    ) -> Result<(), RunError> {
        let (x, out) = (&operands[0], &mut results[0]);
        let &[.., rows, cols] = out.shape else {
            return Err(RunError::Operand("no matrix".into()));
        };
        if cx.in_place.is_none() {
            if x.data.len() != out.data.len() {
                return Err(RunError::Operand(format!("{:?} as {:?}", x.shape, out.shape)));
            }
            out.data.copy_from_slice(x.data);
        }
        if out.data.is_empty() {
            return Ok(());
        }
        let size = out.dtype.size();
        for (index, row) in out.data.chunks_exact_mut(cols * size).enumerate() {
            // The column of the diagonal in this row.
            let place = ((index % rows) as i64).saturating_add(self.diagonal);
            let place = |past: i64| (place.saturating_add(past)).clamp(0, cols as i64) as usize * size;
            if self.upper {
                row[..place(0)].fill(0);
            } else {
                row[place(1)..].fill(0);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::ops::Attribute;
    use crate::ops::testing::{Given, run};
    use crate::plan::DataType::Float32;

    #[test]
    fn a_result_of_no_elements_needs_no_lists() {
        let (given, long) = ([Given::new::<f32>(Float32, &[1, 0], &[])], 1 << 40);
        let found = run("expand", &given, &[], &[(Float32, &[long, 0])], 1).unwrap();
        assert!(found[0].elements::<f32>().is_empty());
        let given = [Given::new::<f32>(Float32, &[long, 0], &[])];
        let axes = [("axes", Attribute::Ints(vec![0]))];
        assert!(run("reverse", &given, &axes, &[(Float32, &[long, 0])], 1).is_ok());
    }
}
