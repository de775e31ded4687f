//! Operators along the tokens of texts that lie one after another: each text by itself.

use super::{Attribute, Attributes, Context, Kind, Op, Request, Tensor, TensorMut, Types, make};
use crate::plan::{BuildError, DataType, RunError};

pub(super) const KINDS: &[Kind] = &[Kind { name: "eachText", types: Types::ALL, make: each_text }];

/// Another operator, once for each text: of `[1, its tokens, ...]` it makes `[1, its tokens, ...]` with the attribute
/// `perToken`, or one part of the result.
///
/// Operands: x `[1, tokens, ...]`, and the [`text_starts`]. The attribute `of` names the operator; it has the others, and
/// must follow its operand's shape alone.
struct EachText {
    inner: Box<dyn Op>,
    per_token: bool,
}

fn each_text(request: &Request<'_>) -> Result<Box<dyn Op>, BuildError> {
    let [Some(x), Some(starts)] = request.operands else {
        return Err(BuildError::Value("eachText: not two operands".into()));
    };
    if starts.dtype != DataType::Int32 || x.rank() < 2 || request.results.len() != 1 {
        return Err(BuildError::Value(format!("eachText: {x:?} of texts at {starts:?}")));
    }
    let mut attributes = Attributes::default();
    for (name, value) in request.attributes.named() {
        if !matches!(name, "of" | "perToken") {
            attributes.insert(name, Attribute::clone(value));
        }
    }
    let kind = request.attributes.text("of")?;
    let operands = &request.operands[..1];
    let inner = make(&Request { kind, attributes: &attributes, operands, ..*request })?;
    Ok(Box::new(EachText { inner, per_token: *request.attributes.bool("perToken")? }))
}

impl Op for EachText {
    fn label(&self) -> String {
        format!("{} of each text", self.inner.label())
    }

    fn scratch(&self, operands: &[&[usize]], results: &[&[usize]]) -> usize {
        self.inner.scratch(&operands[..operands.len().min(1)], results)
    }

    fn run(
        &self,
        operands: &[Tensor<'_>],
        results: &mut [TensorMut<'_>],
        cx: &mut Context<'_>,
    ) -> Result<(), RunError> {
        let (x, out) = (&operands[0], &mut results[0]);
        let refuse = || RunError::Operand(format!("{:?} as texts that give {:?}", x.shape, out.shape));
        let &[1, tokens, ref rest @ ..] = x.shape else { return Err(refuse()) };
        let starts = text_starts(&operands[1], tokens)?;
        let texts = starts.len() - 1;
        let parts = if self.per_token { tokens } else { texts };
        let is_cut =
            if self.per_token { out.shape.get(..2) == Some(&[1, parts]) } else { out.shape.first() == Some(&parts) };
        if !is_cut {
            return Err(refuse());
        }
        if parts == 0 {
            return Ok(());
        }
        let (own, made) = (x.data.len() / tokens.max(1), out.data.len() / parts);
        let mut left = &mut *out.data;
        for ends in starts.windows(2) {
            let length = ends[1] - ends[0];
            let (data, after) = left.split_at_mut(made * if self.per_token { length } else { 1 });
            left = after;
            let shape = [&[1, length], rest].concat();
            let mut result = out.shape.to_vec();
            result[usize::from(self.per_token)] = if self.per_token { length } else { 1 };
            let x = Tensor { shape: &shape, data: &x.data[ends[0] * own..ends[1] * own], ..*x };
            let out = TensorMut { dtype: out.dtype, shape: &result, data };
            self.inner.run(&[x], &mut [out], cx)?;
        }
        Ok(())
    }
}

/// Where each of `n` texts starts, and where the last one ends: `[n + 1]` numbers, of which none is below the one before.
pub(super) fn text_starts(operand: &Tensor<'_>, tokens: usize) -> Result<Vec<usize>, RunError> {
    let numbers = operand.elements::<i32>();
    let starts: Option<Vec<usize>> = numbers.iter().map(|start| usize::try_from(*start).ok()).collect();
    let starts = starts.filter(|starts| {
        starts.first() == Some(&0) && starts.last() == Some(&tokens) && starts.windows(2).all(|ends| ends[0] <= ends[1])
    });
    starts.ok_or_else(|| RunError::Operand(format!("texts at {numbers:?} of {tokens} tokens")))
}

#[cfg(test)]
mod tests {
    use crate::ops::Attribute;
    use crate::ops::testing::{Given, run};
    use crate::plan::DataType::{Float32, Int32};

    fn numbers(count: usize, step: f32) -> Vec<f32> {
        (0..count).map(|i| (i as f32 * step).sin()).collect()
    }

    #[test]
    fn each_text_is_taken_by_itself() {
        let (starts, cols) = ([0_i32, 3, 4, 9], 5);
        let x = numbers(9 * cols, 0.7);
        let given = [Given::new(Float32, &[1, 9, cols], &x), Given::new(Int32, &[4], &starts)];
        let attributes = [
            ("of", Attribute::Text("reverse".into())),
            ("perToken", Attribute::Bool(true)),
            ("axes", Attribute::Ints(vec![1])),
        ];
        let found = run("eachText", &given, &attributes, &[(Float32, &[1, 9, cols])], 1).unwrap();
        let want: Vec<f32> = (starts.windows(2))
            .flat_map(|ends| (ends[0]..ends[1]).rev())
            .flat_map(|token| x[token as usize * cols..][..cols].to_vec())
            .collect();
        assert_eq!(found[0].elements::<f32>(), want);
        let sum = [
            ("of", Attribute::Text("reduceSum".into())),
            ("perToken", Attribute::Bool(false)),
            ("axes", Attribute::Ints(vec![1])),
            ("keepDimensions", Attribute::Bool(false)),
        ];
        let found = run("eachText", &given, &sum, &[(Float32, &[3, cols])], 1).unwrap();
        for (ends, sums) in starts.windows(2).zip(found[0].elements::<f32>().chunks(cols)) {
            for (col, got) in sums.iter().enumerate() {
                let want: f64 = (ends[0]..ends[1]).map(|token| f64::from(x[token as usize * cols + col])).sum();
                assert!((f64::from(*got) - want).abs() < 1e-5, "{got}, not {want}");
            }
        }
    }

    #[test]
    fn texts_attend_as_if_they_were_alone() {
        let (starts, heads, depth) = ([0_i32, 7, 8, 40, 73], 3, 4);
        let (tokens, cols, longest) = (73, heads * depth, 33);
        let [q, k, v] = [0.31, 0.47, 0.83].map(|step| numbers(tokens * cols, step));
        let bias = numbers(heads * longest * longest, 0.13);
        let place = Attribute::Ints([0, heads, depth].map(|n| n as i64).to_vec());
        let attributes = [
            ("q", place.clone()),
            ("k", place.clone()),
            ("v", place),
            ("scale", Attribute::Float(0.5)),
            ("undefinedIsZero", Attribute::Bool(false)),
        ];
        for threads in [1, 3] {
            let all = |x: &[f32]| Given::new(Float32, &[1, tokens, cols], x);
            let given = [
                all(&q),
                all(&k),
                all(&v),
                Given::new(Float32, &[1, heads, longest, longest], &bias),
                Given::new(Float32, &[1, 1, 1, longest], &vec![0.0; longest]),
                Given::new(Int32, &[5], &starts),
            ];
            let found = run("attention", &given, &attributes, &[(Float32, &[1, tokens, cols])], threads).unwrap();
            let found = found[0].elements::<f32>();
            for ends in starts.windows(2) {
                let (first, length) = (ends[0] as usize, (ends[1] - ends[0]) as usize);
                let range = first * cols..(first + length) * cols;
                let own = |x: &[f32]| Given::new(Float32, &[1, length, cols], &x[range.clone()]);
                let part: Vec<f32> = (0..heads * length * length)
                    .map(|at| {
                        let (head, row, col) = (at / length / length, at / length % length, at % length);
                        bias[(head * longest + row) * longest + col]
                    })
                    .collect();
                let given = [own(&q), own(&k), own(&v), Given::new(Float32, &[1, heads, length, length], &part)];
                let alone = run("attention", &given, &attributes, &[(Float32, &[1, length, cols])], 1).unwrap();
                assert_eq!(&found[range.clone()], alone[0].elements::<f32>(), "{length} tokens");
            }
        }
    }
}
