//! The filters of a convolution: one row of float32 for each, whatever their layout, with the bias behind it.

use std::borrow::Cow;

use bytemuck::cast_slice;

use super::float::Float;
use super::walk::LANES;
use super::windows::axes;
use super::{Request, Tensor};
use crate::plan::{BuildError, DataType, RunError};

/// First channels of the blocks of sixteen that some channels make.
pub(super) fn blocks(channels: usize) -> impl Iterator<Item = usize> + Clone {
    (0..channels).step_by(LANES)
}

/// The constant float32 filters of a request as `[o, i, height, width]`, and these sizes.
///
/// # Errors
///
/// They are of another type, or not constant.
pub(super) fn constant(request: &Request<'_>) -> Result<(Vec<f32>, [usize; 4]), BuildError> {
    let filter =
        Filter { axes: axes(request, "filterLayout", "oihw")?, made: None, with_bias: false, taken: Vec::new() };
    let (shape, data) = numbers(request, 1)?;
    let refuse = |error: RunError| BuildError::Value(error.to_string());
    Ok((filter.arrange::<f32>(&shape, data, None).map_err(refuse)?, filter.sizes(&shape).map_err(refuse)?))
}

/// The constant bias of a request, zeros where there is none.
///
/// # Errors
///
/// It is of another size or type, or not constant.
pub(super) fn constant_bias(request: &Request<'_>, channels: usize) -> Result<Vec<f32>, BuildError> {
    if request.optional(2).is_none() {
        return Ok(vec![0.0; channels]);
    }
    let (_, bias) = numbers(request, 2)?;
    if bias.len() != channels {
        return Err(BuildError::Value(format!(
            "{}: a bias of {} numbers; must be {channels}",
            request.kind,
            bias.len()
        )));
    }
    Ok(bias.to_vec())
}

fn numbers<'a>(request: &'a Request<'_>, position: usize) -> Result<(Vec<usize>, &'a [f32]), BuildError> {
    let value = request.operand(position)?;
    match (&value.constant, value.fixed_shape()) {
        (Some(owner), Some(shape)) if value.dtype == DataType::Float32 => Ok((shape, cast_slice((**owner).as_ref()))),
        _ => Err(request.unsupported("filters that are not constant float32")),
    }
}

/// Filters and bias: operands 1 and 2 of a convolution.
pub(super) struct Filter {
    /// Positions of four axes; the first one becomes the rows.
    axes: [usize; 4],
    /// Rows that were made when the plan was built.
    made: Option<Vec<f32>>,
    /// Whether the bias belongs to the rows.
    with_bias: bool,
    taken: Vec<usize>,
}

impl Filter {
    /// `letters` are the axes of a filter in the order that rows have; the bias may be left where it is.
    ///
    /// # Errors
    ///
    /// The types differ, or the layout is unknown.
    pub(super) fn new(request: &Request<'_>, letters: &str, with_bias: bool) -> Result<Self, BuildError> {
        let x = request.operand(0)?;
        let filter = request.operand(1)?;
        let all = [Some(filter), request.optional(2), Some(request.result()?)];
        if all.into_iter().flatten().any(|kind| kind.dtype != x.dtype) || filter.rank() != 4 || x.rank() != 4 {
            return Err(BuildError::Value(format!("{}: operands of several types, or no images", request.kind)));
        }
        let mut found = Self {
            axes: axes(request, "filterLayout", letters)?,
            made: None,
            with_bias: with_bias && request.optional(2).is_some(),
            taken: Vec::new(),
        };
        let bias = request.optional(2).filter(|_| found.with_bias).map(|bias| bias.constant.as_ref());
        if let (Some(owner), Some(shape), None | Some(Some(_))) = (&filter.constant, filter.fixed_shape(), bias) {
            let data = (**owner).as_ref();
            let bias = bias.flatten().map(|owner| (**owner).as_ref());
            let made = match x.dtype {
                DataType::Float32 => found.arrange::<f32>(&shape, cast_slice(data), bias.map(cast_slice)),
                _ => found.arrange::<u16>(&shape, cast_slice(data), bias.map(cast_slice)),
            };
            found.made = Some(made.map_err(|error| BuildError::Value(error.to_string()))?);
            found.taken = vec![1, 2];
            found.taken.truncate(if bias.is_some() { 2 } else { 1 });
        }
        Ok(found)
    }

    /// Operands whose numbers were taken over.
    pub(super) fn taken(&self) -> &[usize] {
        &self.taken
    }

    /// Sizes of the axes in the order that rows have.
    pub(super) fn sizes(&self, shape: &[usize]) -> Result<[usize; 4], RunError> {
        match shape.len() {
            4 => Ok(self.axes.map(|axis| shape[axis])),
            _ => Err(RunError::Operand(format!("{shape:?} is no filter"))),
        }
    }

    /// One row for each index of the first axis, with the bias behind it where there is one.
    pub(super) fn rows<T: Float>(&self, operands: &[Tensor<'_>]) -> Result<Cow<'_, [f32]>, RunError> {
        if let Some(made) = &self.made {
            return Ok(Cow::Borrowed(made));
        }
        let bias = if self.with_bias { Some(operands[2].elements::<T>()) } else { None };
        self.arrange(operands[1].shape, operands[1].elements::<T>(), bias).map(Cow::Owned)
    }

    fn arrange<T: Float>(&self, shape: &[usize], data: &[T], bias: Option<&[T]>) -> Result<Vec<f32>, RunError> {
        let [rows, sizes @ ..] = self.sizes(shape)?;
        let [first, strides @ ..] = self.axes.map(|axis| shape[axis + 1..].iter().product::<usize>());
        if data.len() != shape.iter().product::<usize>() || bias.is_some_and(|bias| bias.len() != rows) {
            return Err(RunError::Operand(format!("filters of {shape:?} with a bias of another size")));
        }
        let mut made = Vec::with_capacity(rows * (sizes.iter().product::<usize>() + 1));
        for row in 0..rows {
            for a in 0..sizes[0] {
                for b in 0..sizes[1] {
                    let from = row * first + a * strides[0] + b * strides[1];
                    made.extend((0..sizes[2]).map(|c| data[from + c * strides[2]].single()));
                }
            }
            made.extend(bias.map(|bias| bias[row].single()));
        }
        Ok(made)
    }
}
