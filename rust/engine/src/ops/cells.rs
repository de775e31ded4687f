//! One step of a recurrent network: what becomes of the products of input and state with the weights of the gates.

use super::Request;
use crate::plan::BuildError;

/// A cell: which gates lie where, and their functions.
pub(super) struct Cell {
    kind: CellKind,
    /// For z, r and n, or i, o, f and g: which block of the weights has the gate.
    blocks: Vec<usize>,
    functions: Vec<fn(f64) -> f64>,
}

#[derive(Clone, Copy, PartialEq)]
enum CellKind {
    Gru { resets_after: bool },
    Lstm,
}

fn sigmoid(x: f64) -> f64 {
    // The exponential of a negative number: it never overflows.
    let small = (-x.abs()).exp();
    if x < 0.0 { small / (1.0 + small) } else { 1.0 / (1.0 + small) }
}

fn relu(x: f64) -> f64 {
    if x < 0.0 { 0.0 } else { x }
}

impl Cell {
    /// The cell that the options `layout`, `activations` and `resetAfter` describe.
    ///
    /// # Errors
    ///
    /// They are absent or describe none.
    pub(super) fn new(request: &Request<'_>, is_lstm: bool) -> Result<Self, BuildError> {
        let layout = request.attributes.text("layout")?;
        let letters = if is_lstm { "iofg" } else { "zrn" };
        let find = |letter| layout.find(letter).filter(|_| layout.len() == letters.len());
        let blocks: Option<Vec<_>> = letters.chars().map(find).collect();
        let blocks = blocks.ok_or_else(|| request.unsupported(format!("layout {layout}")))?;
        let names = request.attributes.texts("activations")?;
        if names.len() != letters.len() - 1 {
            return Err(BuildError::Attribute(format!("{}: {} activations", request.kind, names.len())));
        }
        let functions = names.iter().map(|name| -> Result<fn(f64) -> f64, BuildError> {
            match name.as_str() {
                "sigmoid" => Ok(sigmoid),
                "tanh" => Ok(f64::tanh),
                "relu" => Ok(relu),
                other => Err(request.unsupported(other)),
            }
        });
        let functions = functions.collect::<Result<_, _>>()?;
        let kind = if is_lstm {
            CellKind::Lstm
        } else {
            CellKind::Gru { resets_after: *request.attributes.bool("resetAfter")? }
        };
        Ok(Self { kind, blocks, functions })
    }

    /// How many blocks of weights there are.
    pub(super) fn gates(&self) -> usize {
        self.blocks.len()
    }

    /// Whether the state is reset before its product for the new gate, which then waits for the reset gate.
    pub(super) fn resets_before(&self) -> bool {
        self.kind == CellKind::Gru { resets_after: false }
    }

    /// The block of the new gate of a gated recurrent unit.
    pub(super) fn new_gate(&self) -> usize {
        self.blocks[2]
    }
}

/// A cell with the vectors of one direction.
pub(super) struct Gates<'a> {
    pub(super) cell: &'a Cell,
    pub(super) hidden: usize,
    /// Of the input and of the state, one value for each gate and unit.
    pub(super) biases: [Option<Vec<f64>>; 2],
    /// For the gates i, o and f.
    pub(super) peephole: Option<Vec<f64>>,
}

impl Gates<'_> {
    /// The products for one gate and unit, each with its bias.
    fn sums(&self, given: &[f32], recurred: &[f32], gate: usize, unit: usize) -> [f64; 2] {
        let at = self.cell.blocks[gate] * self.hidden + unit;
        let sum = |products: &[f32], bias: &Option<Vec<f64>>| {
            f64::from(products[at]) + bias.as_ref().map_or(0.0, |bias| bias[at])
        };
        [sum(given, &self.biases[0]), sum(recurred, &self.biases[1])]
    }

    fn gate(&self, given: &[f32], recurred: &[f32], gate: usize, unit: usize) -> f64 {
        let [x, h] = self.sums(given, recurred, gate, unit);
        self.cell.functions[0](x + h)
    }

    /// The state times the reset gate.
    pub(super) fn reset(&self, given: &[f32], recurred: &[f32], state: &[f64], to: &mut [f32]) {
        let rows = self.cell.gates() * self.hidden;
        for (at, (to, h)) in to.iter_mut().zip(state).enumerate() {
            let (row, unit) = (at / self.hidden, at % self.hidden);
            *to = (self.gate(&given[row * rows..], &recurred[row * rows..], 1, unit) * h) as f32;
        }
    }

    /// Puts the product of the reset state in the place of that of the state, for the new gate.
    pub(super) fn with_reset(&self, reset: &[f32], recurred: &mut [f32], product: impl Fn(&[f32], &mut [f32])) {
        let mut made = vec![0.0; reset.len()];
        if made.is_empty() {
            return;
        }
        product(reset, &mut made);
        let rows = self.cell.gates() * self.hidden;
        for (row, made) in recurred.chunks_exact_mut(rows).zip(made.chunks_exact(self.hidden)) {
            row[self.cell.new_gate() * self.hidden..][..self.hidden].copy_from_slice(made);
        }
    }

    /// The next states of all rows, in the place of the old ones.
    pub(super) fn step(&self, given: &[f32], recurred: &[f32], states: &mut [Vec<f64>]) {
        let rows = self.cell.gates() * self.hidden;
        let products = given.chunks_exact(rows).zip(recurred.chunks_exact(rows));
        for (row, (given, recurred)) in products.enumerate() {
            let own = row * self.hidden..(row + 1) * self.hidden;
            match states {
                [h, c] => self.lstm(given, recurred, &mut h[own.clone()], &mut c[own]),
                [h] => self.gru(given, recurred, &mut h[own]),
                _ => unreachable!("a cell has one state or two"),
            }
        }
    }

    fn gru(&self, given: &[f32], recurred: &[f32], states: &mut [f64]) {
        for (unit, h) in states.iter_mut().enumerate() {
            let z = self.gate(given, recurred, 0, unit);
            let [x, from_state] = self.sums(given, recurred, 2, unit);
            let share = if self.cell.resets_before() { 1.0 } else { self.gate(given, recurred, 1, unit) };
            let n = self.cell.functions[1](x + share * from_state);
            *h = z * *h + (1.0 - z) * n;
        }
    }

    fn lstm(&self, given: &[f32], recurred: &[f32], states: &mut [f64], cells: &mut [f64]) {
        let peephole = |gate: usize, unit: usize, cell: f64| {
            self.peephole.as_ref().map_or(0.0, |peephole| peephole[gate * self.hidden + unit] * cell)
        };
        let sum = |gate: usize, unit: usize| {
            let [x, h] = self.sums(given, recurred, gate, unit);
            x + h
        };
        for (unit, (h, c)) in states.iter_mut().zip(cells).enumerate() {
            // All three peepholes look at the old cell state.
            let [i, o, f] = [0, 1, 2].map(|gate| self.cell.functions[0](sum(gate, unit) + peephole(gate, unit, *c)));
            let g = self.cell.functions[1](sum(3, unit));
            *c = f * *c + i * g;
            *h = o * self.cell.functions[2](*c);
        }
    }
}
