//! Runs one operator as a plan of one step: how the operators are tested.

use std::sync::Arc;

use super::{Attribute, Attributes, Element};
use crate::plan::{BuildError, DataType, PlanBuilder, RunError, Token};
use crate::{Engine, Kernels};

/// An operand.
pub(crate) struct Given {
    dtype: DataType,
    shape: Vec<usize>,
    data: Vec<u128>,
    bytes: usize,
    is_constant: bool,
}

/// What is wrong with a call.
#[derive(Debug)]
#[allow(dead_code)] // what is inside is for a failed test's message
pub(crate) enum Refused {
    Build(BuildError),
    Run(RunError),
}

impl Given {
    pub(crate) fn new<T: Element>(dtype: DataType, shape: &[usize], elements: &[T]) -> Self {
        let bytes: &[u8] = bytemuck::cast_slice(elements);
        let mut data = vec![0_u128; bytes.len().div_ceil(16)];
        bytemuck::cast_slice_mut::<u128, u8>(&mut data)[..bytes.len()].copy_from_slice(bytes);
        Self { dtype, shape: shape.to_vec(), data, bytes: bytes.len(), is_constant: false }
    }

    /// The same operand as a constant.
    #[allow(dead_code)]
    pub(crate) fn constant(self) -> Self {
        Self { is_constant: true, ..self }
    }

    pub(crate) fn elements<T: Element>(&self) -> &[T] {
        assert!(T::holds(self.dtype));
        bytemuck::cast_slice(self.as_ref())
    }

    fn clone_bytes(&self) -> Self {
        Self { dtype: self.dtype, shape: Vec::new(), data: self.data.clone(), bytes: self.bytes, is_constant: true }
    }
}

impl AsRef<[u8]> for Given {
    fn as_ref(&self) -> &[u8] {
        &bytemuck::cast_slice(&self.data)[..self.bytes]
    }
}

/// The results of one call on fixed shapes.
pub(crate) fn run(
    kind: &str,
    operands: &[Given],
    attributes: &[(&str, Attribute)],
    results: &[(DataType, &[usize])],
    threads: usize,
) -> Result<Vec<Given>, Refused> {
    run_optional(kind, &operands.iter().map(Some).collect::<Vec<_>>(), attributes, results, threads)
}

/// The same, where operands may be absent.
pub(crate) fn run_optional(
    kind: &str,
    operands: &[Option<&Given>],
    attributes: &[(&str, Attribute)],
    results: &[(DataType, &[usize])],
    threads: usize,
) -> Result<Vec<Given>, Refused> {
    let engine = Arc::new(Engine::new(Kernels::chosen().unwrap(), threads));
    let mut builder = PlanBuilder::new(engine, 0);
    let dims = |builder: &mut PlanBuilder, shape: &[usize]| {
        shape.iter().map(|size| builder.dimension(&[Token::Number(*size as i64)]).unwrap()).collect::<Vec<_>>()
    };
    let mut values = Vec::new();
    for operand in operands {
        let Some(operand) = operand else {
            values.push(None);
            continue;
        };
        let shape = dims(&mut builder, &operand.shape);
        values.push(Some(if operand.is_constant {
            builder.constant(operand.dtype, &shape, Arc::new(operand.clone_bytes())).unwrap()
        } else {
            builder.input(operand.dtype, &shape).unwrap()
        }));
    }
    let mut named = Attributes::default();
    for (name, value) in attributes {
        named.insert(name, value.clone());
    }
    let shapes: Vec<_> = results.iter().map(|(dtype, shape)| (*dtype, dims(&mut builder, shape))).collect();
    let kinds: Vec<_> = shapes.iter().map(|(dtype, shape)| (*dtype, &shape[..])).collect();
    let made = builder.step(kind, &values, &named, &kinds).map_err(Refused::Build)?;
    let plan = builder.build(&made, None).map_err(Refused::Build)?;
    let inputs: Vec<&[u8]> =
        operands.iter().flatten().filter(|given| !given.is_constant).map(|given| (*given).as_ref()).collect();
    let mut found: Vec<Given> = (results.iter())
        .map(|(dtype, shape)| {
            let bytes = shape.iter().product::<usize>() * dtype.size();
            // Not zeros: what an operator leaves out shows.
            let data = vec![u128::MAX / 3; bytes.div_ceil(16)];
            Given { dtype: *dtype, shape: shape.to_vec(), data, bytes, is_constant: false }
        })
        .collect();
    let mut outputs: Vec<&mut [u8]> =
        found.iter_mut().map(|given| &mut bytemuck::cast_slice_mut(&mut given.data)[..given.bytes]).collect();
    plan.run(&[], &inputs, &mut outputs).map_err(Refused::Run)?;
    Ok(found)
}
