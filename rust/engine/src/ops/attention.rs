//! Attention over all heads, read where the projections have left them.

use super::{Context, Kind, Op, Request, Tensor, TensorMut, Types};
use crate::plan::{BuildError, DataType, RunError};
use crate::{Heads, HeadsMask, Scores};

pub(super) const KINDS: &[Kind] = &[
    Kind { name: "attention", types: Types::of(&[DataType::Float32]), make: attention },
    Kind { name: "truth", types: Types::of(&[DataType::Uint8]), make: truth },
];

/// `softmax(mask(scale * q @ k^T + bias)) @ v`, written as `[batch, queries, heads * width]`.
///
/// Operands: q, k, v, bias, mask; the last two broadcast to `[batch, heads, queries, keys]`. With the attribute `fill`
/// the mask is a condition in float32: where it is zero, the score becomes `fill`. `undefinedIsZero` gives rows whose
/// softmax is NaN weights of zero. The attributes `q`, `k` and `v` say where heads lie, as in [`Place`].
struct Attention {
    places: [Place; 3],
    scale: f32,
    fill: Option<f32>,
    undefined_is_zero: bool,
    label: String,
}

/// Where the heads of an operand are: `[]` for `[batch, heads, rows, depth]` (or `[batch, rows, depth]`, one head), or
/// `[offset, heads, depth]` for heads side by side from a column on, in rows that may hold more.
#[derive(Clone, Copy, Debug)]
enum Place {
    Apart,
    InRows { offset: usize, heads: usize, depth: usize },
}

impl Place {
    fn read(request: &Request<'_>, name: &str) -> Result<Self, BuildError> {
        let numbers = request.attributes.ints(name)?;
        let refuse = || BuildError::Attribute(format!("attribute '{name}' is {numbers:?}"));
        let sizes: Vec<usize> =
            numbers.iter().map(|n| usize::try_from(*n).ok()).collect::<Option<_>>().ok_or_else(refuse)?;
        match *sizes {
            [] => Ok(Self::Apart),
            [offset, heads, depth] if heads > 0 && depth > 0 => Ok(Self::InRows { offset, heads, depth }),
            _ => Err(refuse()),
        }
    }

    fn view<'a>(self, operand: &Tensor<'a>) -> Result<Heads<'a>, RunError> {
        let data: &'a [f32] = operand.elements();
        let found = match (self, operand.shape) {
            (Self::Apart, &[batch, heads, rows, depth]) => {
                Heads::new(data, [batch, heads, rows, depth], [heads * rows * depth, rows * depth, depth])
            }
            (Self::Apart, &[batch, rows, depth]) => Heads::new(data, [batch, 1, rows, depth], [rows * depth, 0, depth]),
            (Self::InRows { offset, heads, depth }, &[batch, rows, cols])
                if heads.checked_mul(depth).and_then(|own| own.checked_add(offset)).is_some_and(|end| end <= cols) =>
            {
                Heads::new(data.get(offset..).unwrap_or(&[]), [batch, heads, rows, depth], [rows * cols, depth, cols])
            }
            _ => None,
        };
        found.ok_or_else(|| RunError::Operand(format!("{:?} does not hold heads at {self:?}", operand.shape)))
    }
}

fn attention(request: &Request<'_>) -> Result<Box<dyn Op>, BuildError> {
    let dtype = request.operand(0)?.dtype;
    let others = [Some(request.operand(1)?), Some(request.operand(2)?), request.optional(3), request.optional(4)];
    if others.into_iter().flatten().chain(request.results).any(|kind| kind.dtype != dtype) {
        return Err(BuildError::Value("attention: operands of several types".into()));
    }
    let attributes = request.attributes;
    let fill = attributes.optional_float("fill")?.map(|fill| *fill as f32);
    let mut label = "attention".to_owned();
    if request.optional(3).is_some() {
        label += "+bias";
    }
    if request.optional(4).is_some() {
        label += if fill.is_some() { "+where" } else { "+mask" };
    }
    Ok(Box::new(Attention {
        places: [Place::read(request, "q")?, Place::read(request, "k")?, Place::read(request, "v")?],
        scale: *attributes.float("scale")? as f32,
        fill,
        undefined_is_zero: *attributes.bool("undefinedIsZero")?,
        label,
    }))
}

impl Op for Attention {
    fn label(&self) -> String {
        self.label.clone()
    }

    fn run(
        &self,
        operands: &[Tensor<'_>],
        results: &mut [TensorMut<'_>],
        cx: &mut Context<'_>,
    ) -> Result<(), RunError> {
        let [q, k, v] = [0, 1, 2].map(|index| self.places[index].view(&operands[index]));
        let views = [q?, k?, v?];
        let [batch, heads, queries, depth] = views[0].shape();
        let [_, own_heads, keys, width] = views[2].shape();
        let fits = views[1].shape() == [batch, own_heads, keys, depth]
            && views[2].shape()[0] == batch
            && own_heads > 0
            && heads.is_multiple_of(own_heads);
        let out = results[0].elements::<f32>();
        if !fits || out.len() != batch * queries * heads * width {
            let shapes = views.map(|view| view.shape());
            return Err(RunError::Operand(format!("heads of {shapes:?} for {} results", out.len())));
        }
        if out.is_empty() {
            return Ok(());
        }
        if keys == 0 {
            return Err(RunError::Operand("a softmax over no keys".into()));
        }
        let scores = [batch, heads, queries, keys];
        let over = |position: usize| {
            let operand = operands.get(position).filter(|operand| operand.is_present());
            operand.map(|operand| stretched(operand, scores)).transpose()
        };
        let mask = match (over(4)?, self.fill) {
            (None, _) => HeadsMask::None,
            (Some(mask), None) => HeadsMask::Add(mask),
            (Some(keep), Some(fill)) => HeadsMask::Keep { keep, fill },
        };
        let bias = over(3)?;
        let scores = Scores { scale: self.scale, bias, mask, undefined_is_zero: self.undefined_is_zero };
        cx.engine.attention(views, scores, out);
        Ok(())
    }
}

/// An operand over the scores; axes of one element repeat, but for the keys.
fn stretched<'a>(operand: &Tensor<'a>, scores: [usize; 4]) -> Result<Heads<'a>, RunError> {
    let own = operand.shape;
    let mut shape = [1; 4];
    let fits = own.len() <= 4;
    if fits {
        shape[4 - own.len()..].copy_from_slice(own);
    }
    let found = if fits { Heads::repeated(operand.elements(), &shape, scores) } else { None };
    found.ok_or_else(|| RunError::Operand(format!("shape {own:?} over scores of {scores:?}")))
}

/// A condition as the attention takes it: 1 where it holds, or where it does not with `inverted`; over `keys` columns.
///
/// With a result whose last axis is longer than the operand's, the one element is repeated.
struct Truth {
    inverted: bool,
}

fn truth(request: &Request<'_>) -> Result<Box<dyn Op>, BuildError> {
    if request.result()?.dtype != DataType::Float32 {
        return Err(BuildError::Value("truth: the result is not float32".into()));
    }
    Ok(Box::new(Truth { inverted: *request.attributes.bool("inverted")? }))
}

impl Op for Truth {
    fn label(&self) -> String {
        "mask".into()
    }

    fn run(&self, operands: &[Tensor<'_>], results: &mut [TensorMut<'_>], _: &mut Context<'_>) -> Result<(), RunError> {
        let x = operands[0].elements::<u8>();
        let out = results[0].elements::<f32>();
        if x.len() != out.len() {
            return Err(RunError::Operand(format!("{} results of {:?}", out.len(), operands[0].shape)));
        }
        for (out, x) in out.iter_mut().zip(x) {
            *out = if (*x != 0) != self.inverted { 1.0 } else { 0.0 };
        }
        Ok(())
    }
}
