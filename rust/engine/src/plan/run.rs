//! Running a plan: evaluate the dimensions, lay out, and the steps in order.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

use super::arena::Arenas;
use super::layout::{Layout, Source, StepLayout};
use super::split::{self, Batch};
use super::texts::Texts;
use super::value::Storage;
use super::{Program, RunError, Step};
use crate::Engine;
use crate::ops::{Context, Tensor, TensorMut};
use crate::pool::lock_soon;

/// Layouts that are kept: lengths and batches come again, and a layout of 300 values takes 20 KiB.
const LAYOUTS_KEPT: usize = 64;

/// A graph, ready to run from any number of threads at once.
pub struct Plan {
    pub(super) engine: Arc<Engine>,
    /// The same kernels on the calling thread alone, for chunks.
    pub(super) alone: Engine,
    pub(super) program: Program,
    /// Along which dimension a run may be cut.
    pub(super) batch: Option<Batch>,
    /// How texts of different lengths are run.
    pub(super) texts: Option<Texts>,
    /// Bytes that the values of a run may take.
    pub(super) budget: Option<usize>,
    pub(super) layouts: Layouts,
    pub(super) arenas: Arenas,
}

/// The values of the names, and what follows from them.
type Known = (Box<[i64]>, Arc<Layout>);

/// The layouts of the last runs, oldest first. Who finds them locked makes another one, which is soon done.
#[derive(Debug, Default)]
pub(super) struct Layouts {
    known: Mutex<Vec<Known>>,
}

impl Layouts {
    pub(super) fn get(&self, program: &Program, names: &[i64]) -> Result<Arc<Layout>, RunError> {
        let found = lock_soon(&self.known).and_then(|known| {
            let (_, layout) = known.iter().rev().find(|(known, _)| **known == *names)?;
            Some(Arc::clone(layout))
        });
        if let Some(layout) = found {
            return Ok(layout);
        }
        let layout = Arc::new(Layout::new(program, names)?);
        if let Some(mut known) = lock_soon(&self.known) {
            if known.len() >= LAYOUTS_KEPT {
                known.remove(0);
            }
            known.push((names.into(), Arc::clone(&layout)));
        }
        Ok(layout)
    }
}

impl Plan {
    /// The engine that runs it.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// What each step is, in order.
    pub fn labels(&self) -> Vec<String> {
        self.program.steps.iter().map(|step| step.op.label()).collect()
    }

    /// The constant operands whose numbers a step has taken over, by their position; none for a step that is not there.
    pub fn taken(&self, step: usize) -> &[usize] {
        self.program.steps.get(step).map_or(&[], |step| step.op.taken())
    }

    /// Whether no step reads the originals of its constants any more; until then they are being packed.
    pub fn has_taken(&self) -> bool {
        self.program.steps.iter().all(|step| step.op.has_taken())
    }

    /// Bytes that the values of a run take, apart from inputs, results and constants.
    ///
    /// # Errors
    ///
    /// The names have no such values.
    pub fn arena_bytes(&self, names: &[i64]) -> Result<usize, RunError> {
        self.layouts.get(&self.program, names).map(|layout| layout.bytes)
    }

    /// The shapes of the results.
    ///
    /// # Errors
    ///
    /// The names have no such values.
    pub fn output_shapes(&self, names: &[i64]) -> Result<Vec<Vec<usize>>, RunError> {
        let layout = self.layouts.get(&self.program, names)?;
        Ok(self.program.outputs.iter().map(|output| layout.shape(*output).to_vec()).collect())
    }

    /// Computes all results; all arrays are in C order.
    ///
    /// # Errors
    ///
    /// An array has the wrong size, a dimension no valid value, or the run needs more memory than it may use. The
    /// results then hold anything. A panic of a step is such an error too.
    pub fn run(&self, names: &[i64], inputs: &[&[u8]], outputs: &mut [&mut [u8]]) -> Result<(), RunError> {
        let Some((batch, items, count)) = self.chunks(names)? else {
            let layout = self.layouts.get(&self.program, names)?;
            return self.engine.pool.session(|| self.run_on(&self.engine, &layout, inputs, outputs));
        };
        self.check(&*self.layouts.get(&self.program, names)?, inputs, outputs)?;
        let mut chunks = Vec::with_capacity(count);
        let sizes: Vec<usize> = outputs.iter().map(|output| output.len()).collect();
        let mut rest: Vec<&mut [u8]> = outputs.iter_mut().map(|output| &mut **output).collect();
        for index in 0..count {
            let (first, last) = (split::start(items, count, index), split::start(items, count, index + 1));
            let mut own = Vec::with_capacity(inputs.len());
            for (input, has_items) in inputs.iter().zip(&batch.inputs) {
                own.push(if *has_items { &input[split::range(input.len(), items, first, last)?] } else { input });
            }
            let mut results = Vec::with_capacity(rest.len());
            for (output, size) in rest.iter_mut().zip(&sizes) {
                let range = split::range(*size, items, first, last)?;
                let (result, after) = std::mem::take(output).split_at_mut(range.len());
                *output = after;
                results.push(result);
            }
            let mut names = names.to_vec();
            names[batch.name] = (last - first) as i64;
            chunks.push((names, own, results));
        }
        let failed = Mutex::new(None);
        self.engine.pool.for_each(chunks, |(names, inputs, mut outputs)| {
            let layout = self.layouts.get(&self.program, &names);
            let done = layout.and_then(|layout| self.run_on(&self.alone, &layout, &inputs, &mut outputs));
            if let Err(error) = done {
                failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
            }
        });
        failed.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
    }

    /// The batch, its number of items, and how many chunks to cut it into; `None` where it is run whole.
    fn chunks(&self, names: &[i64]) -> Result<Option<(&Batch, usize, usize)>, RunError> {
        let Some(batch) = &self.batch else { return Ok(None) };
        let Some(items) = names.get(batch.name).and_then(|items| usize::try_from(*items).ok()) else {
            return Ok(None);
        };
        let rows = self.layouts.get(&self.program, names)?.dims[batch.rows.0 as usize];
        let mut count = split::chunks(items, usize::try_from(rows).unwrap_or(usize::MAX), self.engine.threads());
        // As many chunks as the memory they may use together asks for.
        while let Some(allowed) = self.budget.filter(|_| count < items) {
            let mut own = names.to_vec();
            own[batch.name] = items.div_ceil(count.max(1)) as i64;
            let running = self.engine.threads().min(count);
            let needed = self.layouts.get(&self.program, &own)?.bytes;
            if needed.saturating_mul(running) <= allowed {
                break;
            }
            count = count.saturating_mul(2).clamp(2, items);
        }
        Ok((count > 1).then_some((batch, items, count)))
    }

    /// All steps, on one thread or on all.
    pub(super) fn run_on(
        &self,
        engine: &Engine,
        layout: &Layout,
        inputs: &[&[u8]],
        outputs: &mut [&mut [u8]],
    ) -> Result<(), RunError> {
        self.check(layout, inputs, outputs)?;
        catch_unwind(AssertUnwindSafe(|| self.engine.packers.help())).map_err(|panic| RunError::of(&*panic))?;
        if let Some(allowed) = self.budget.filter(|allowed| layout.bytes > *allowed) {
            return Err(RunError::Memory { needed: layout.bytes, allowed });
        }
        self.arenas.with(self.engine.threads() + 1, |arena| {
            let needed = layout.bytes;
            let memory = arena.bytes(needed).ok_or(RunError::NoMemory { needed })?;
            for (step, place) in self.program.steps.iter().zip(&layout.steps) {
                let attempt = || self.step(engine, step, place, layout, memory, inputs, outputs);
                match catch_unwind(AssertUnwindSafe(attempt)) {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => return Err(error.in_step(&step.name, &step.op.label())),
                    Err(panic) => return Err(RunError::of(&*panic).in_step(&step.name, &step.op.label())),
                }
            }
            Ok(())
        })
    }

    fn check(&self, layout: &Layout, inputs: &[&[u8]], outputs: &[&mut [u8]]) -> Result<(), RunError> {
        let program = &self.program;
        if inputs.len() != program.inputs.len() || outputs.len() != program.outputs.len() {
            let message = format!("{} inputs and {} results given", inputs.len(), outputs.len());
            return Err(RunError::Array(format!(
                "{message}; the plan has {} and {}",
                program.inputs.len(),
                program.outputs.len()
            )));
        }
        let arrays = inputs.iter().map(|bytes| &**bytes).chain(outputs.iter().map(|bytes| &**bytes));
        for (number, (bytes, value)) in arrays.zip(program.inputs.iter().chain(&program.outputs)).enumerate() {
            let (wanted, dtype) = (layout.sizes[value.0 as usize], program.values[value.0 as usize].dtype);
            if bytes.len() != wanted {
                return Err(RunError::Array(format!("array {number} has {} bytes; must have {wanted}", bytes.len())));
            }
            if !bytes.is_empty() && !(bytes.as_ptr() as usize).is_multiple_of(dtype.size()) {
                return Err(RunError::Array(format!("array {number} of {dtype} is not aligned")));
            }
        }
        Ok(())
    }

    #[allow(clippy::too_many_arguments)] // the parts of one run, borrowed apart
    fn step(
        &self,
        engine: &Engine,
        step: &Step,
        place: &StepLayout,
        layout: &Layout,
        mut memory: &mut [u8],
        inputs: &[&[u8]],
        outputs: &mut [&mut [u8]],
    ) -> Result<(), RunError> {
        let mut position = 0;
        let mut cuts: Vec<Piece<'_>> = Vec::with_capacity(place.cuts.len());
        for cut in &place.cuts {
            let (_, rest) = memory.split_at_mut(cut.start - position);
            let (own, rest) = rest.split_at_mut(cut.end - cut.start);
            (memory, position) = (rest, cut.end);
            cuts.push(Piece::new(own, cut.is_written));
        }
        let mut results_of_plan: Vec<Piece<'_>> = Vec::new();
        if place.touches_outputs {
            for (index, output) in outputs.iter_mut().enumerate() {
                results_of_plan.push(Piece::new(output, place.results.contains(&Source::Output(index))));
            }
        }
        let scratch = place.scratch.map_or(&mut [][..], |index| cuts[index].take());
        let mut results: Vec<TensorMut<'_>> = Vec::with_capacity(step.results.len());
        for (value, source) in step.results.iter().zip(&place.results) {
            let data = match *source {
                Source::Cut(index) => cuts[index].take(),
                Source::Output(index) => results_of_plan[index].take(),
                _ => return Err(RunError::Panic("a result without memory".into())),
            };
            let dtype = self.program.values[value.0 as usize].dtype;
            results.push(TensorMut { dtype, shape: layout.shape(*value), data });
        }
        let mut operands: Vec<Tensor<'_>> = Vec::with_capacity(step.operands.len());
        for (value, source) in step.operands.iter().zip(&place.operands) {
            let Some(value) = value else {
                operands.push(Tensor::ABSENT);
                continue;
            };
            let data = match *source {
                Source::Absent | Source::InResult => &[],
                Source::Input(index) => inputs[index],
                Source::Constant(root) => match &self.program.values[root.0 as usize].storage {
                    Storage::Constant(Some(owner)) => (**owner).as_ref(),
                    _ => &[],
                },
                Source::Cut(index) => cuts[index].read(),
                Source::Output(index) => results_of_plan[index].read(),
            };
            let dtype = self.program.values[value.0 as usize].dtype;
            operands.push(Tensor { dtype, shape: layout.shape(*value), data, is_present: true });
        }
        let mut context = Context { engine, in_place: place.in_place, scratch, dims: &layout.dims };
        step.op.run(&operands, &mut results, &mut context)
    }
}

/// A part of the memory, as one step sees it.
enum Piece<'a> {
    Read(&'a [u8]),
    Write(&'a mut [u8]),
}

impl<'a> Piece<'a> {
    fn new(own: &'a mut [u8], is_written: bool) -> Self {
        if is_written { Self::Write(own) } else { Self::Read(own) }
    }

    /// The memory to write, once.
    fn take(&mut self) -> &'a mut [u8] {
        match self {
            Self::Read(_) => &mut [],
            Self::Write(own) => std::mem::take(own),
        }
    }

    fn read(&self) -> &'a [u8] {
        match self {
            Self::Read(own) => own,
            Self::Write(_) => &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::ops::Attributes;
    use crate::plan::{DataType, PlanBuilder, Token};
    use crate::{Engine, Kernels};

    #[test]
    fn a_child_of_a_process_that_was_running_runs() {
        let engine = Arc::new(Engine::new(Kernels::chosen().unwrap(), 2));
        let mut builder = PlanBuilder::new(engine, 1);
        let shape = [builder.dimension(&[Token::Name(0)]).unwrap()];
        let x = builder.input(DataType::Float32, &shape).unwrap();
        let made = [(DataType::Float32, &shape[..])];
        let y = builder.step("abs", &[Some(x)], &Attributes::default(), &made).unwrap();
        let y = builder.step("neg", &[Some(y[0])], &Attributes::default(), &made).unwrap();
        let plan = builder.build(&y, None).unwrap();
        let run = |x: &[f32]| {
            let mut found = vec![0.0_f32; x.len()];
            let out: &mut [u8] = bytemuck::cast_slice_mut(&mut found);
            plan.run(&[x.len() as i64], &[bytemuck::cast_slice(x)], &mut [out]).unwrap();
            found
        };
        assert_eq!(run(&[1.0, -2.0]), [-1.0, -2.0]);
        // As after a fork while another thread had these.
        let _for_good = (plan.layouts.known.lock(), plan.arenas.idle.lock());
        assert_eq!(run(&[3.0, -4.0]), [-3.0, -4.0]);
        assert_eq!(run(&[-5.0]), [-5.0]);
        assert!(plan.arena_bytes(&[7]).is_ok());
    }
}
