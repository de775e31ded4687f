//! Building a plan: every index, type and count is checked here, so that a run can rely on them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::arena::Arenas;
use super::dims::{DimId, Dims, Token};
use super::error::BuildError;
use super::run::{Layouts, Plan};
use super::split::Batch;
use super::texts::{self, TextInput, Texts};
use super::value::{DataType, Owner, Storage, Value, ValueId, ValueType};
use super::{Program, Step};
use crate::Engine;
use crate::ops::{self, Attribute, Attributes, Op, Request};

/// Makes a [`Plan`].
pub struct PlanBuilder {
    engine: Arc<Engine>,
    dims: Dims,
    values: Vec<Value>,
    steps: Vec<Step>,
    inputs: Vec<ValueId>,
    batch: Option<Batch>,
    texts: Option<Texts>,
}

impl PlanBuilder {
    /// A plan over `names` named dimensions, known by their index.
    pub fn new(engine: Arc<Engine>, names: usize) -> Self {
        Self {
            engine,
            dims: Dims::new(names),
            values: Vec::new(),
            steps: Vec::new(),
            inputs: Vec::new(),
            batch: None,
            texts: None,
        }
    }

    /// A dimension; the same one for the same tokens.
    ///
    /// # Errors
    ///
    /// The expression is malformed.
    pub fn dimension(&mut self, tokens: &[Token]) -> Result<DimId, BuildError> {
        self.dims.add(tokens)
    }

    /// The next input.
    ///
    /// # Errors
    ///
    /// There is no such dimension.
    pub fn input(&mut self, dtype: DataType, shape: &[DimId]) -> Result<ValueId, BuildError> {
        let value = self.value(dtype, shape, Storage::Input(self.inputs.len()))?;
        self.inputs.push(value);
        Ok(value)
    }

    /// A constant, in C order; its owner is kept until no step needs the numbers as they are.
    ///
    /// # Errors
    ///
    /// The shape depends on a name, or the bytes are not as many as it says or not aligned.
    pub fn constant(&mut self, dtype: DataType, shape: &[DimId], owner: Owner) -> Result<ValueId, BuildError> {
        let bytes = (*owner).as_ref();
        let mut wanted = Some(dtype.size());
        for id in shape {
            let size = self.fixed(*id)?.and_then(|size| usize::try_from(size).ok());
            wanted = wanted.zip(size).and_then(|(wanted, size)| wanted.checked_mul(size));
        }
        if wanted != Some(bytes.len()) {
            return Err(BuildError::Value(format!("a constant of {} bytes; its shape needs {wanted:?}", bytes.len())));
        }
        if !bytes.is_empty() && !(bytes.as_ptr() as usize).is_multiple_of(dtype.size()) {
            return Err(BuildError::Value(format!("a constant of {dtype} that is not aligned")));
        }
        self.value(dtype, shape, Storage::Constant(Some(owner)))
    }

    /// The numbers of another value under another shape.
    ///
    /// # Errors
    ///
    /// There is no such value or dimension.
    pub fn alias(&mut self, of: ValueId, shape: &[DimId]) -> Result<ValueId, BuildError> {
        let dtype = self.known(of)?.dtype;
        self.value(dtype, shape, Storage::Alias(of))
    }

    /// The next step, and its results.
    ///
    /// # Errors
    ///
    /// [`BuildError::Unsupported`] where there is no kernel for it, and the others for what is not well-formed.
    pub fn step(
        &mut self,
        kind: &str,
        operands: &[Option<ValueId>],
        attributes: &Attributes,
        results: &[(DataType, &[DimId])],
    ) -> Result<Vec<ValueId>, BuildError> {
        for attribute in attributes.values() {
            if let Attribute::Dims(ids) = attribute {
                ids.iter().try_for_each(|id| self.fixed(*id).map(drop))?;
            }
        }
        let given: Vec<Option<ValueType>> =
            operands.iter().map(|id| id.map(|id| self.kind(id)).transpose()).collect::<Result<_, _>>()?;
        let made: Vec<ValueType> =
            results.iter().map(|(dtype, shape)| self.kind_of(*dtype, shape, None)).collect::<Result<_, _>>()?;
        let request =
            Request { kind, attributes, operands: &given, results: &made, engine: &self.engine, dims: &self.dims };
        // What is made may be packed weights, for which there may be no memory.
        let made = catch_unwind(AssertUnwindSafe(|| ops::make(&request)));
        let op = made.map_err(|panic| BuildError::of(&*panic))??;
        for position in op.taken().iter().chain(op.in_place()) {
            if *position >= operands.len() {
                return Err(BuildError::Value(format!("{kind}: no operand {position}")));
            }
        }
        self.add(Arc::from(op), operands, results)
    }

    /// A step of another plan of the same engine on other values, with the constants that it has taken over: two plans
    /// then hold one copy of them.
    ///
    /// # Errors
    ///
    /// The step has taken no constants: one of its own would do as well. Or there is no such step or value, or a value or
    /// a result has another type, or other sizes where they were fixed, than the step was made for.
    pub fn again(
        &mut self,
        plan: &Plan,
        step: usize,
        operands: &[Option<ValueId>],
        results: &[(DataType, &[DimId])],
    ) -> Result<Vec<ValueId>, BuildError> {
        let refuse = || BuildError::Value(format!("step {step} cannot be taken from another plan"));
        let known = plan.program.steps.get(step);
        let known = known.filter(|step| !step.op.taken().is_empty() && Arc::ptr_eq(&plan.engine, &self.engine));
        let known = known.ok_or_else(refuse)?;
        let of = |value: &ValueId| &plan.program.values[value.0 as usize];
        let mut given = Vec::with_capacity(operands.len());
        for value in operands {
            given.push(value.map(|value| self.known(value)).transpose()?);
        }
        let fits = |position: usize| {
            let made_for = known.operands[position].as_ref().map(of);
            known.op.taken().contains(&position)
                || match (made_for, given[position]) {
                    (Some(old), Some(new)) => old.dtype == new.dtype && self.has_sizes(new, &plan.program.dims, old),
                    (old, new) => old.is_none() && new.is_none(),
                }
        };
        if given.len() != known.operands.len()
            || !(0..given.len()).all(fits)
            || !known.results.iter().map(|value| of(value).dtype).eq(results.iter().map(|(dtype, _)| *dtype))
        {
            return Err(BuildError::Value(format!("step {step} was made for values of other types or sizes")));
        }
        let made = self.add(Arc::clone(&known.op), operands, results)?;
        self.name(&known.name);
        Ok(made)
    }

    fn add(
        &mut self,
        op: Arc<dyn Op>,
        operands: &[Option<ValueId>],
        results: &[(DataType, &[DimId])],
    ) -> Result<Vec<ValueId>, BuildError> {
        let results: Vec<ValueId> = (results.iter())
            .map(|(dtype, shape)| self.value(*dtype, shape, Storage::Temporary))
            .collect::<Result<_, _>>()?;
        self.steps.push(Step { op, operands: operands.into(), results: results.clone().into(), name: "".into() });
        Ok(results)
    }

    /// Says whose the last step is: the name of a node of the graph, for errors of runs.
    pub fn name(&mut self, node: &str) {
        if let Some(step) = self.steps.last_mut() {
            step.name = node.into();
        }
    }

    /// Makes this a plan for [`Plan::run_texts`].
    ///
    /// # Errors
    ///
    /// There is no such name, or an input is not as it says.
    pub fn texts(&mut self, texts: Texts) -> Result<(), BuildError> {
        let names = [texts.tokens, texts.texts, texts.longest];
        let fits = |(id, input): (&ValueId, &TextInput)| {
            texts::input_type(*input).is_none_or(|dtype| self.values[id.0 as usize].dtype == dtype)
        };
        if names.iter().any(|name| *name >= self.dims.names())
            || texts.inputs.len() != self.inputs.len()
            || !self.inputs.iter().zip(&texts.inputs).all(fits)
        {
            return Err(BuildError::Value(format!("{} inputs are not {texts:?}", self.inputs.len())));
        }
        self.texts = Some(texts);
        Ok(())
    }

    /// Lets runs be cut into chunks of whole items. The caller has proven that each item of a result depends on the same
    /// item of the inputs alone, and on nothing that depends on the number of items.
    ///
    /// # Errors
    ///
    /// There is no such name or dimension.
    pub fn batch(&mut self, batch: Batch) -> Result<(), BuildError> {
        self.fixed(batch.rows)?;
        if batch.name >= self.dims.names() {
            return Err(BuildError::Value(format!("name {} of {}", batch.name, self.dims.names())));
        }
        self.batch = Some(batch);
        Ok(())
    }

    /// The finished plan. Its runs use at most `budget` bytes for values each, where that is given.
    ///
    /// # Errors
    ///
    /// There is no such value.
    pub fn build(mut self, outputs: &[ValueId], budget: Option<usize>) -> Result<Plan, BuildError> {
        let mut own: Vec<ValueId> = Vec::with_capacity(outputs.len());
        for output in outputs {
            self.known(*output)?;
            let root = self.root(*output);
            let is_taken = own.iter().any(|other| self.root(*other) == root);
            // Every result has memory of its own: an input, a constant or a second result is copied.
            let value = if matches!(self.values[root.0 as usize].storage, Storage::Temporary) && !is_taken {
                *output
            } else {
                let (dtype, shape) = (self.known(*output)?.dtype, self.known(*output)?.shape.clone());
                self.step("identity", &[Some(*output)], &Attributes::default(), &[(dtype, &shape)])?[0]
            };
            own.push(value);
        }
        let roots: Vec<ValueId> = (0..self.values.len()).map(|index| self.root(ValueId(index as u32))).collect();
        let mut last_uses = vec![0; self.values.len()];
        let mut is_read = vec![false; self.values.len()];
        for (number, step) in self.steps.iter().enumerate() {
            for (position, value) in step.operands.iter().enumerate() {
                let Some(root) = value.map(|value| roots[value.0 as usize].0 as usize) else { continue };
                last_uses[root] = number;
                is_read[root] |= !step.op.taken().contains(&position);
            }
            for value in &step.results {
                last_uses[value.0 as usize] = number;
            }
        }
        for (value, is_read) in self.values.iter_mut().zip(is_read) {
            if matches!(value.storage, Storage::Constant(_)) && !is_read {
                value.storage = Storage::Constant(None);
            }
        }
        let Self { engine, dims, values, steps, inputs, batch, texts } = self;
        if let Some(batch) = batch.as_ref().filter(|batch| batch.inputs.len() != inputs.len()) {
            let message =
                format!("{} inputs are said to have items or not; there are {}", batch.inputs.len(), inputs.len());
            return Err(BuildError::Value(message));
        }
        if texts.as_ref().is_some_and(|texts| texts.per_token.len() != own.len()) {
            return Err(BuildError::Value(format!("{} results are not {texts:?}", own.len())));
        }
        let alone = Engine::new(*engine.kernels(), 1);
        let program = Program { dims, values, roots, steps, inputs, outputs: own, last_uses };
        Ok(Plan {
            engine,
            alone,
            program,
            batch,
            texts,
            budget,
            layouts: Layouts::default(),
            arenas: Arenas::default(),
        })
    }

    fn value(&mut self, dtype: DataType, shape: &[DimId], storage: Storage) -> Result<ValueId, BuildError> {
        for id in shape {
            if self.fixed(*id)?.is_some_and(|size| size < 0) {
                return Err(BuildError::Value("a shape with a negative size".into()));
            }
        }
        let id = u32::try_from(self.values.len()).map_err(|_| BuildError::Value("too many values".into()))?;
        self.values.push(Value { dtype, shape: shape.into(), storage });
        Ok(ValueId(id))
    }

    fn known(&self, id: ValueId) -> Result<&Value, BuildError> {
        let missing = || BuildError::Value(format!("value {} of {}", id.0, self.values.len()));
        self.values.get(id.0 as usize).ok_or_else(missing)
    }

    fn fixed(&self, id: DimId) -> Result<Option<i64>, BuildError> {
        if !self.dims.has(id) {
            return Err(BuildError::Dimension(format!("dimension {} of {}", id.0, self.dims.count())));
        }
        Ok(self.dims.fixed(id))
    }

    /// Whether a value has the shape of one of another plan, where that is fixed; of one that is not, the size of its rows.
    fn has_sizes(&self, value: &Value, dims: &Dims, other: &Value) -> bool {
        let mut own = value.shape.iter().map(|id| self.dims.fixed(*id));
        let mut wanted = other.shape.iter().map(|id| dims.fixed(*id));
        if wanted.clone().all(|size| size.is_some()) {
            return own.eq(wanted);
        }
        wanted.next_back().is_none_or(|size| size.is_none() || own.next_back() == Some(size))
    }

    /// The value that the numbers of `id` belong to; an alias is newer than what it names, so this ends.
    fn root(&self, id: ValueId) -> ValueId {
        match self.values[id.0 as usize].storage {
            Storage::Alias(of) => self.root(of),
            _ => id,
        }
    }

    fn kind(&self, id: ValueId) -> Result<ValueType, BuildError> {
        let value = self.known(id)?;
        let constant = match &self.values[self.root(id).0 as usize].storage {
            Storage::Constant(owner) => owner.clone(),
            _ => None,
        };
        self.kind_of(value.dtype, &value.shape, constant)
    }

    fn kind_of(&self, dtype: DataType, shape: &[DimId], constant: Option<Owner>) -> Result<ValueType, BuildError> {
        let size = |id: &DimId| Ok(self.fixed(*id)?.and_then(|size| usize::try_from(size).ok()));
        let sizes = shape.iter().map(size).collect::<Result<_, BuildError>>()?;
        Ok(ValueType { dtype, shape: shape.into(), sizes, constant })
    }
}
