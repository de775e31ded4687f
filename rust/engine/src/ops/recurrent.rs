//! Recurrent networks, whole and by the step: products in float32 with packed weights, gates and states in float64.

use std::borrow::Cow;

use super::cells::{Cell, Gates};
use super::float::Float;
use super::{Context, Kind, Op, Request, Tensor, TensorMut, Types};
use crate::plan::{BuildError, DataType, RunError, ValueType};
use crate::{Activation, Engine, Layer, PackedMatrix, Rows};

pub(super) const KINDS: &[Kind] = &[
    Kind { name: "gru", types: Types::FLOATS, make: |request| make(request, GRU) },
    Kind { name: "gruCell", types: Types::FLOATS, make: |request| make(request, GRU_CELL) },
    Kind { name: "lstm", types: Types::FLOATS, make: |request| make(request, LSTM) },
    Kind { name: "lstmCell", types: Types::FLOATS, make: |request| make(request, LSTM_CELL) },
];

/// Where an operator has its operands, behind x, weight and recurrent weight.
#[derive(Clone, Copy)]
struct Places {
    bias: usize,
    recurrent_bias: usize,
    peephole: Option<usize>,
    states: &'static [usize],
    /// One step, without the axes of steps and directions.
    is_cell: bool,
}

const GRU: Places = Places { bias: 3, recurrent_bias: 4, peephole: None, states: &[5], is_cell: false };
const GRU_CELL: Places = Places { bias: 4, recurrent_bias: 5, peephole: None, states: &[3], is_cell: true };
const LSTM: Places = Places { bias: 3, recurrent_bias: 4, peephole: Some(5), states: &[6, 7], is_cell: false };
const LSTM_CELL: Places = Places { bias: 5, recurrent_bias: 6, peephole: Some(7), states: &[3, 4], is_cell: true };

struct Recurrent {
    label: String,
    places: Places,
    cell: Cell,
    hidden: usize,
    /// For each direction whether it goes from the last step to the first.
    backward: &'static [bool],
    weights: Option<Vec<PackedMatrix>>,
    recurrent: Option<Vec<PackedMatrix>>,
    taken: Vec<usize>,
}

fn make(request: &Request<'_>, places: Places) -> Result<Box<dyn Op>, BuildError> {
    let (x, attributes) = (request.operand(0)?, request.attributes);
    if request.operands.iter().flatten().chain(request.results).any(|kind| kind.dtype != x.dtype) {
        return Err(BuildError::Value(format!("{}: operands of several types", request.kind)));
    }
    let rank = if places.is_cell { 2 } else { 3 };
    if x.rank() != rank || request.operand(1)?.rank() != rank || request.operand(2)?.rank() != rank {
        return Err(BuildError::Value(format!("{}: {x:?}", request.kind)));
    }
    let backward: &[bool] = match attributes.optional_text("direction")? {
        None | Some("forward") => &[false],
        Some("backward") => &[true],
        Some("both") => &[false, true],
        Some(other) => return Err(request.unsupported(other)),
    };
    let hidden = usize::try_from(*attributes.int("hiddenSize")?).ok().filter(|hidden| *hidden > 0);
    let hidden = hidden.ok_or_else(|| BuildError::Attribute(format!("{}: no hidden size", request.kind)))?;
    let cell = Cell::new(request, places.peephole.is_some())?;
    let rows = cell.gates() * hidden;
    let pack = |operand: &ValueType| -> Option<Vec<PackedMatrix>> {
        let (owner, shape) = (operand.constant.as_ref()?, operand.fixed_shape()?);
        let data = numbers(x.dtype, (**owner).as_ref());
        let size = *shape.last()?;
        (data.len() == backward.len() * rows * size).then(|| packed(request.engine, &data, [size, rows]))
    };
    let weights = pack(request.operand(1)?);
    // A reset before the product needs the rows of the new gate by themselves as well.
    let recurrent = if cell.resets_before() { None } else { pack(request.operand(2)?) };
    let taken = [(1, weights.is_some()), (2, recurrent.is_some())];
    let taken = taken.iter().filter(|(_, is_taken)| *is_taken).map(|(place, _)| *place).collect();
    let label = request.kind.into();
    Ok(Box::new(Recurrent { label, places, cell, hidden, backward, weights, recurrent, taken }))
}

/// Elements of a float type as float32.
fn numbers(dtype: DataType, bytes: &[u8]) -> Cow<'_, [f32]> {
    if dtype == DataType::Float32 {
        return Cow::Borrowed(bytemuck::cast_slice(bytes));
    }
    Cow::Owned(bytemuck::cast_slice::<u8, u16>(bytes).iter().map(|x| x.single()).collect())
}

/// The same of an operand; nothing has no numbers, wherever it lies.
fn elements<'a>(operand: &Tensor<'a>) -> Cow<'a, [f32]> {
    if operand.data.is_empty() { Cow::Borrowed(&[]) } else { numbers(operand.dtype, operand.data) }
}

/// The matrices of `[directions, n, k]`, each packed as `[k, n]`.
fn packed(engine: &Engine, data: &[f32], [k, n]: [usize; 2]) -> Vec<PackedMatrix> {
    data.chunks_exact((k * n).max(1)).map(|matrix| engine.pack(matrix, [k, n], [1, k])).collect()
}

fn product(engine: &Engine, x: &[f32], weights: &PackedMatrix, out: &mut [f32]) {
    let panels = weights.panels();
    let (k, n) = (panels.k(), panels.n());
    let rows = Rows::new(x, out.len() / n, k, k).expect("as many rows as results");
    let layer = Layer { weights, bias: None, activation: Activation::Identity, factor: None, residual: None };
    engine.linear(rows, layer, out);
}

impl Op for Recurrent {
    fn label(&self) -> String {
        self.label.clone()
    }

    fn taken(&self) -> &[usize] {
        &self.taken
    }

    fn run(
        &self,
        operands: &[Tensor<'_>],
        results: &mut [TensorMut<'_>],
        cx: &mut Context<'_>,
    ) -> Result<(), RunError> {
        let x = &operands[0];
        let directions = self.backward.len();
        let rows = self.cell.gates() * self.hidden;
        let (size, outer) = x.shape.split_last().ok_or_else(|| RunError::Operand("no input".into()))?;
        let batch = outer.last().copied().unwrap_or(1);
        let steps = if self.places.is_cell { 1 } else { outer[0] };
        let state = batch * self.hidden;
        let is = |position: usize, count: usize| {
            let operand = operands.get(position).filter(|operand| operand.is_present());
            operand.is_none_or(|operand| operand.count() == directions * count)
        };
        let states = self.places.states;
        let all_fit = is(1, rows * size)
            && is(2, rows * self.hidden)
            && is(self.places.bias, rows)
            && is(self.places.recurrent_bias, rows)
            && self.places.peephole.is_none_or(|position| is(position, 3 * self.hidden))
            && states.iter().all(|position| is(*position, state))
            && results.iter().take(states.len()).all(|result| result.count() == directions * state)
            && results.get(states.len()).is_none_or(|all| all.count() == steps * directions * state);
        if !all_fit || results.len() < states.len() {
            return Err(RunError::Operand(format!("operands of other sizes than {:?} needs", x.shape)));
        }
        let optional = |position: usize| -> Option<Cow<'_, [f32]>> {
            operands.get(position).filter(|operand| operand.is_present()).map(elements)
        };
        let bias = optional(self.places.bias);
        let recurrent_bias = optional(self.places.recurrent_bias);
        let peephole = self.places.peephole.and_then(optional);
        let first: Vec<_> = states.iter().map(|position| optional(*position)).collect();
        let (made_weights, made_recurrent);
        let weights = match &self.weights {
            Some(weights) => weights,
            None => {
                made_weights = packed(cx.engine, &elements(&operands[1]), [*size, rows]);
                &made_weights
            }
        };
        let recurrent = match &self.recurrent {
            Some(recurrent) => recurrent,
            None => {
                made_recurrent = packed(cx.engine, &elements(&operands[2]), [self.hidden, rows]);
                &made_recurrent
            }
        };
        let x = elements(x);
        let mut given = vec![0.0; steps * batch * rows];
        for (index, is_backward) in self.backward.iter().enumerate() {
            // An input of no elements gives no matrix, and its products are zeros.
            if let Some(weights) = weights.get(index).filter(|_| !given.is_empty()) {
                product(cx.engine, &x, weights, &mut given);
            }
            let part = |values: &Option<Cow<'_, [f32]>>, count: usize| -> Option<Vec<f64>> {
                let values = values.as_ref()?;
                Some(values[index * count..(index + 1) * count].iter().map(|x| f64::from(*x)).collect())
            };
            let new = self.cell.resets_before().then(|| {
                let own = &elements(&operands[2])[index * rows * self.hidden..];
                let own = &own[self.cell.new_gate() * self.hidden * self.hidden..];
                cx.engine.pack(own, [self.hidden, self.hidden], [1, self.hidden])
            });
            let gates = Gates {
                cell: &self.cell,
                hidden: self.hidden,
                biases: [part(&bias, rows), part(&recurrent_bias, rows)],
                peephole: part(&peephole, 3 * self.hidden),
            };
            let mut now: Vec<Vec<f64>> =
                first.iter().map(|values| part(values, state).unwrap_or_else(|| vec![0.0; state])).collect();
            let mut hidden: Vec<f32> = vec![0.0; state];
            let mut recurred = vec![0.0; batch * rows];
            let mut reset = vec![0.0; state];
            for step in 0..steps {
                let step = if *is_backward { steps - 1 - step } else { step };
                let own = &given[step * batch * rows..][..batch * rows];
                hidden.iter_mut().zip(&now[0]).for_each(|(single, wide)| *single = *wide as f32);
                if !recurred.is_empty() {
                    product(cx.engine, &hidden, &recurrent[index], &mut recurred);
                }
                if let Some(new) = &new {
                    gates.reset(own, &recurred, &now[0], &mut reset);
                    gates.with_reset(&reset, &mut recurred, |reset, out| product(cx.engine, reset, new, out));
                }
                gates.step(own, &recurred, &mut now);
                if let Some(all) = results.get_mut(states.len()) {
                    store(&now[0], (step * directions + index) * state, all);
                }
            }
            for (result, state_now) in results.iter_mut().zip(&now) {
                store(state_now, index * state, result);
            }
        }
        Ok(())
    }
}

/// Rounds numbers into a part of a result.
fn store(from: &[f64], start: usize, to: &mut TensorMut<'_>) {
    match to.dtype {
        DataType::Float32 => {
            let to = &mut to.elements::<f32>()[start..];
            to.iter_mut().zip(from).for_each(|(to, from)| *to = f32::narrow(*from));
        }
        _ => {
            let to = &mut to.elements::<u16>()[start..];
            to.iter_mut().zip(from).for_each(|(to, from)| *to = u16::narrow(*from));
        }
    }
}
