//! Named dimensions and expressions of them: tiny integer programs, evaluated once for each run.

use std::collections::HashMap;

use super::{BuildError, RunError};

/// A dimension expression of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DimId(pub(crate) u32);

/// One instruction of an expression in postfix order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Token {
    /// Pushes a number.
    Number(i64),
    /// Pushes the value of the name of this index.
    Name(usize),
    /// Replaces two numbers by their sum.
    Add,
    /// Replaces two numbers by their product.
    Multiply,
    /// Replaces two numbers by their quotient, rounded down.
    Divide,
    /// Replaces two numbers by the smaller one.
    Min,
    /// Replaces two numbers by the larger one.
    Max,
}

/// Numbers an expression may hold at once: polynomials of real models need three or four.
const DEEPEST: usize = 64;

/// All expressions of a plan, each kept once.
#[derive(Clone, Debug, Default)]
pub(crate) struct Dims {
    names: usize,
    programs: Vec<Box<[Token]>>,
    known: HashMap<Box<[Token]>, DimId>,
}

impl Dims {
    pub(crate) fn new(names: usize) -> Self {
        Self { names, ..Self::default() }
    }

    /// How many names a run has to bind.
    pub(crate) fn names(&self) -> usize {
        self.names
    }

    /// How many expressions there are.
    pub(crate) fn count(&self) -> usize {
        self.programs.len()
    }

    /// The expression, checked; the same one for the same tokens.
    pub(crate) fn add(&mut self, tokens: &[Token]) -> Result<DimId, BuildError> {
        if let Some(known) = self.known.get(tokens) {
            return Ok(*known);
        }
        let mut depth = 0_usize;
        for token in tokens {
            depth = match *token {
                Token::Number(_) => depth + 1,
                Token::Name(name) if name < self.names => depth + 1,
                Token::Name(name) => return Err(BuildError::Dimension(format!("name {name} of {}", self.names))),
                _ if depth >= 2 => depth - 1,
                _ => return Err(BuildError::Dimension("an operation on fewer than two numbers".into())),
            };
            if depth > DEEPEST {
                return Err(BuildError::Dimension(format!("more than {DEEPEST} numbers at once")));
            }
        }
        if depth != 1 {
            return Err(BuildError::Dimension(format!("{depth} results; must be 1")));
        }
        let id = u32::try_from(self.programs.len()).map(DimId);
        let id = id.map_err(|_| BuildError::Dimension("too many expressions".into()))?;
        self.programs.push(tokens.into());
        self.known.insert(tokens.into(), id);
        Ok(id)
    }

    /// Whether this is an expression of this plan.
    pub(crate) fn has(&self, id: DimId) -> bool {
        (id.0 as usize) < self.programs.len()
    }

    /// The number, where it needs no names.
    pub(crate) fn fixed(&self, id: DimId) -> Option<i64> {
        let program = &self.programs[id.0 as usize];
        if program.iter().any(|token| matches!(token, Token::Name(_))) {
            return None;
        }
        evaluate(program, &[]).ok()
    }

    /// The values of all expressions.
    pub(crate) fn evaluate(&self, names: &[i64]) -> Result<Box<[i64]>, RunError> {
        if names.len() != self.names {
            return Err(RunError::Dimension(format!("{} names bound; the plan has {}", names.len(), self.names)));
        }
        self.programs.iter().map(|program| evaluate(program, names)).collect()
    }
}

fn evaluate(program: &[Token], names: &[i64]) -> Result<i64, RunError> {
    let mut stack = [0_i64; DEEPEST];
    let mut depth = 0;
    for token in program {
        if let Token::Number(value) = *token {
            stack[depth] = value;
            depth += 1;
        } else if let Token::Name(name) = *token {
            stack[depth] = names[name];
            depth += 1;
        } else {
            let (left, right) = (stack[depth - 2], stack[depth - 1]);
            let result = match token {
                Token::Add => left.checked_add(right),
                Token::Multiply => left.checked_mul(right),
                Token::Divide if right == 0 => return Err(RunError::Dimension(format!("{left} divided by 0"))),
                // Euclid's quotient rounds down for a positive divisor and up for a negative one.
                Token::Divide if right > 0 => left.checked_div_euclid(right),
                Token::Divide => left.checked_neg().zip(right.checked_neg()).map(|(a, b)| a.div_euclid(b)),
                Token::Min => Some(left.min(right)),
                _ => Some(left.max(right)),
            };
            stack[depth - 2] = result.ok_or_else(|| RunError::Dimension("a number beyond 64 bits".into()))?;
            depth -= 1;
        }
    }
    Ok(stack[0])
}

#[cfg(test)]
mod tests {
    use super::Token::{Add, Divide, Max, Min, Multiply, Name, Number};
    use super::{Dims, Token};

    #[test]
    fn expressions_are_evaluated_in_postfix_order_and_kept_once() {
        let mut dims = Dims::new(2);
        let cases: [(&[Token], i64); 6] = [
            (&[Number(5)], 5),
            (&[Name(0), Number(12), Multiply], 84),
            (&[Name(0), Name(1), Add, Number(3), Divide], 3),
            (&[Number(-7), Number(2), Divide], -4),
            (&[Number(7), Number(-2), Divide], -4),
            (&[Name(0), Name(1), Min, Number(100), Max], 100),
        ];
        let ids: Vec<_> = cases.iter().map(|(tokens, _)| dims.add(tokens).unwrap()).collect();
        let values = dims.evaluate(&[7, 4]).unwrap();
        assert_eq!(ids.iter().map(|id| values[id.0 as usize]).collect::<Vec<_>>(), cases.map(|(_, want)| want));
        assert_eq!(dims.add(cases[1].0).unwrap(), ids[1]);
        assert_eq!((dims.fixed(ids[0]), dims.fixed(ids[1])), (Some(5), None));
    }

    #[test]
    fn malformed_expressions_are_refused() {
        let mut dims = Dims::new(1);
        let deep = [Number(1); 100];
        for tokens in [&[][..], &[Add], &[Number(1), Number(2)], &[Name(1)], &[Number(1), Multiply], &deep] {
            assert!(dims.add(tokens).is_err(), "{tokens:?}");
        }
    }

    #[test]
    fn numbers_beyond_64_bits_and_division_by_zero_are_errors() {
        let mut dims = Dims::new(1);
        dims.add(&[Name(0), Name(0), Multiply]).unwrap();
        assert!(dims.evaluate(&[1 << 40]).is_err());
        assert!(dims.evaluate(&[]).is_err());
        let mut dims = Dims::new(1);
        dims.add(&[Number(1), Name(0), Divide]).unwrap();
        assert!(dims.evaluate(&[0]).is_err());
    }
}
