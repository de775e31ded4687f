//! Where each value lies for one set of dimensions.
//!
//! A value occupies its place from the step that makes it to the last one that reads it. The largest are placed first,
//! each at the lowest offset where nothing that lives at the same time lies. A step that works in place gives its
//! result the place of an operand that nothing else reads afterwards.

use super::arena::ALIGNMENT;
use super::value::Storage;
use super::{Program, RunError, ValueId};

/// A part of the arena.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cut {
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) is_written: bool,
}

/// Where the bytes of an operand or a result are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// Nowhere: an absent operand, or one whose bytes the operator has taken when it was made.
    Absent,
    /// In the result, which this step computes in place.
    InResult,
    Input(usize),
    Constant(ValueId),
    /// In the step's cut of this index.
    Cut(usize),
    Output(usize),
}

/// The memory of one step.
#[derive(Debug)]
pub(crate) struct StepLayout {
    /// Parts of the arena, ascending, none overlapping another.
    pub(crate) cuts: Box<[Cut]>,
    pub(crate) operands: Box<[Source]>,
    pub(crate) results: Box<[Source]>,
    pub(crate) scratch: Option<usize>,
    pub(crate) in_place: Option<usize>,
    pub(crate) touches_outputs: bool,
}

/// Everything about a run that follows from its dimensions.
#[derive(Debug)]
pub(crate) struct Layout {
    /// Values of the dimension expressions.
    pub(crate) dims: Box<[i64]>,
    shapes: Box<[usize]>,
    /// Where the shape of each value starts in `shapes`; one more than there are values.
    starts: Box<[usize]>,
    /// Bytes of each value.
    pub(crate) sizes: Box<[usize]>,
    pub(crate) steps: Box<[StepLayout]>,
    /// Bytes of the arena.
    pub(crate) bytes: usize,
}

impl Layout {
    pub(crate) fn shape(&self, value: ValueId) -> &[usize] {
        let index = value.0 as usize;
        &self.shapes[self.starts[index]..self.starts[index + 1]]
    }

    pub(crate) fn new(program: &Program, names: &[i64]) -> Result<Self, RunError> {
        let dims = program.dims.evaluate(names)?;
        let (mut shapes, mut starts, mut sizes) = (Vec::new(), vec![0], Vec::new());
        for value in &program.values {
            let mut bytes = value.dtype.size();
            for id in &value.shape {
                let size = dims[id.0 as usize];
                let size = usize::try_from(size).map_err(|_| RunError::Dimension(format!("a size of {size}")))?;
                shapes.push(size);
                let product = bytes.checked_mul(size).filter(|bytes| *bytes <= isize::MAX as usize);
                bytes = product.ok_or_else(|| RunError::Dimension("a value beyond the address space".into()))?;
            }
            starts.push(shapes.len());
            sizes.push(bytes);
        }
        for (size, root) in sizes.iter().zip(&program.roots) {
            if *size != sizes[root.0 as usize] {
                let message = format!("a view of {size} bytes on {}", sizes[root.0 as usize]);
                return Err(RunError::Dimension(message));
            }
        }
        let mut layout = Self {
            dims,
            shapes: shapes.into(),
            starts: starts.into(),
            sizes: sizes.into(),
            steps: Box::default(),
            bytes: 0,
        };
        layout.place(program)?;
        Ok(layout)
    }

    fn place(&mut self, program: &Program) -> Result<(), RunError> {
        let (mut blocks, mut block_of) = (Vec::<Block>::new(), vec![None; program.values.len()]);
        let mut in_place = Vec::with_capacity(program.steps.len());
        let mut scratch = Vec::with_capacity(program.steps.len());
        for (number, step) in program.steps.iter().enumerate() {
            let chosen = self.operand_in_place(program, number);
            in_place.push(chosen);
            for (position, result) in step.results.iter().enumerate() {
                if self.output_of(program, *result).is_some() {
                    continue;
                }
                let last = program.last_uses[result.0 as usize];
                let taken = chosen.filter(|_| position == 0).and_then(|operand| step.operands[operand]);
                block_of[result.0 as usize] = match taken {
                    Some(operand) => {
                        let block: Option<usize> = block_of[program.root(operand).0 as usize];
                        if let Some(block) = block {
                            blocks[block].last = last;
                        }
                        block
                    }
                    None => {
                        blocks.push(Block { size: self.sizes[result.0 as usize], first: number, last, start: 0 });
                        Some(blocks.len() - 1)
                    }
                };
            }
            let shapes = |ids: &[ValueId]| ids.iter().map(|id| self.shape(*id)).collect::<Vec<_>>();
            let operands: Vec<&[usize]> =
                step.operands.iter().map(|id| id.map_or(&[][..], |id| self.shape(id))).collect();
            let size = step.op.scratch(&operands, &shapes(&step.results));
            scratch.push((size > 0).then(|| {
                blocks.push(Block { size, first: number, last: number, start: 0 });
                blocks.len() - 1
            }));
        }
        self.bytes = pack(&mut blocks)?;
        let steps = (0..program.steps.len()).map(|number| {
            let scratch = scratch[number].map(|block| blocks[block]);
            self.bind(program, number, in_place[number], scratch, &|value| {
                block_of[value.0 as usize].map(|b: usize| blocks[b])
            })
        });
        self.steps = steps.collect::<Result<_, _>>()?;
        Ok(())
    }

    /// The result of the plan that a root is, if it is one.
    fn output_of(&self, program: &Program, root: ValueId) -> Option<usize> {
        program.outputs.iter().position(|output| program.root(*output) == root)
    }

    /// The operand whose place the step's first result takes.
    fn operand_in_place(&self, program: &Program, number: usize) -> Option<usize> {
        let step = &program.steps[number];
        let result = *step.results.first()?;
        if self.output_of(program, result).is_some() {
            return None;
        }
        let fits = |position: usize| {
            let Some(root) = step.operands.get(position).copied().flatten().map(|value| program.root(value)) else {
                return false;
            };
            let reads = step.operands.iter().flatten().filter(|value| program.root(**value) == root).count();
            matches!(program.values[root.0 as usize].storage, Storage::Temporary)
                && self.output_of(program, root).is_none()
                && program.last_uses[root.0 as usize] == number
                && reads == 1
                && self.sizes[root.0 as usize] == self.sizes[result.0 as usize]
        };
        step.op.in_place().iter().copied().find(|position| fits(*position))
    }

    fn bind(
        &self,
        program: &Program,
        number: usize,
        in_place: Option<usize>,
        scratch: Option<Block>,
        block_of: &dyn Fn(ValueId) -> Option<Block>,
    ) -> Result<StepLayout, RunError> {
        let step = &program.steps[number];
        let mut cuts: Vec<Cut> = Vec::new();
        let cut = |cuts: &mut Vec<Cut>, block: Block, is_written: bool| {
            let cut = Cut { start: block.start, end: block.start + block.size, is_written };
            if !cuts.contains(&cut) {
                cuts.push(cut);
            }
            cut
        };
        enum Found {
            Known(Source),
            In(Cut),
        }
        let mut find = |value: ValueId, is_written: bool| {
            let root = program.root(value);
            match &program.values[root.0 as usize].storage {
                Storage::Input(index) => Found::Known(Source::Input(*index)),
                Storage::Constant(Some(_)) => Found::Known(Source::Constant(root)),
                Storage::Constant(None) | Storage::Alias(_) => Found::Known(Source::Absent),
                Storage::Temporary => match self.output_of(program, root) {
                    Some(index) => Found::Known(Source::Output(index)),
                    None => match block_of(root) {
                        Some(block) => Found::In(cut(&mut cuts, block, is_written)),
                        None => Found::Known(Source::Absent),
                    },
                },
            }
        };
        let operands: Vec<Found> = (step.operands.iter().enumerate())
            .map(|(position, operand)| match operand {
                _ if in_place == Some(position) => Found::Known(Source::InResult),
                None => Found::Known(Source::Absent),
                Some(value) => find(*value, false),
            })
            .collect();
        let results: Vec<Found> = step.results.iter().map(|value| find(*value, true)).collect();
        let scratch = scratch.map(|block| cut(&mut cuts, block, true));
        cuts.sort_unstable_by_key(|cut| (cut.start, cut.end));
        // Empty values lie anywhere, also inside others; what is not empty must not overlap.
        if cuts.windows(2).any(|pair| pair[1].start < pair[0].end) {
            return Err(RunError::Panic("values overlap".into()));
        }
        let index = |cut: &Cut| cuts.iter().position(|other| other == cut).unwrap_or_default();
        let source = |found: &Found| match found {
            Found::Known(source) => *source,
            Found::In(cut) => Source::Cut(index(cut)),
        };
        let operands: Box<[Source]> = operands.iter().map(source).collect();
        let results: Box<[Source]> = results.iter().map(source).collect();
        let touches_outputs = operands.iter().chain(&results).any(|source| matches!(source, Source::Output(_)));
        let scratch = scratch.as_ref().map(index);
        Ok(StepLayout { operands, results, scratch, in_place, touches_outputs, cuts: cuts.into() })
    }
}

/// Memory that one value, or several in turn, occupy.
#[derive(Clone, Copy, Debug)]
struct Block {
    size: usize,
    first: usize,
    last: usize,
    start: usize,
}

/// Gives every block its start; returns the bytes that all of them take.
fn pack(blocks: &mut [Block]) -> Result<usize, RunError> {
    let mut order: Vec<usize> = (0..blocks.len()).collect();
    order.sort_by_key(|index| (std::cmp::Reverse(blocks[*index].size), *index));
    let mut placed: Vec<Block> = Vec::with_capacity(blocks.len());
    let mut total = 0_usize;
    let overflow = || RunError::Dimension("values beyond the address space".into());
    for index in order {
        let block = blocks[index];
        // An odd number of cache lines apart, values do not all start at the same place of a cache.
        let room = block.size.checked_next_multiple_of(ALIGNMENT).ok_or_else(overflow)?;
        let mut start = 0_usize;
        for other in &placed {
            if block.first <= other.last && other.first <= block.last {
                if other.start >= start.checked_add(room).ok_or_else(overflow)? {
                    break;
                }
                start = start.max((other.start + other.size).next_multiple_of(ALIGNMENT));
            }
        }
        total = total.max(start.checked_add(room).ok_or_else(overflow)?);
        blocks[index].start = start;
        let position = placed.partition_point(|other| other.start <= start);
        placed.insert(position, blocks[index]);
    }
    if total > isize::MAX as usize { Err(overflow()) } else { Ok(total) }
}

#[cfg(test)]
mod tests {
    use super::{ALIGNMENT, Block, pack};

    fn block(size: usize, first: usize, last: usize) -> Block {
        Block { size, first, last, start: 0 }
    }

    #[test]
    fn blocks_that_live_together_do_not_overlap_and_others_share() {
        let mut state = 1_u64;
        let mut random = |bound: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) % bound
        };
        for _ in 0..200 {
            let mut blocks: Vec<Block> = (0..random(40))
                .map(|_| {
                    let first = random(20) as usize;
                    block(random(500) as usize, first, first + random(6) as usize)
                })
                .collect();
            let total = pack(&mut blocks).unwrap();
            for (index, a) in blocks.iter().enumerate() {
                assert!(a.start.is_multiple_of(ALIGNMENT) && a.start + a.size <= total);
                for b in &blocks[..index] {
                    let together = a.first <= b.last && b.first <= a.last && a.size > 0 && b.size > 0;
                    assert!(!together || a.start + a.size <= b.start || b.start + b.size <= a.start, "{a:?} {b:?}");
                }
            }
        }
        let mut chain: Vec<Block> = (0..10).map(|step| block(640, step, step + 1)).collect();
        assert_eq!(pack(&mut chain).unwrap(), 2 * 640);
    }

    #[test]
    fn sizes_beyond_the_address_space_are_an_error() {
        assert!(pack(&mut [block(usize::MAX - 3, 0, 0)]).is_err());
        assert!(pack(&mut [block(isize::MAX as usize, 0, 1), block(isize::MAX as usize, 1, 1)]).is_err());
    }
}
