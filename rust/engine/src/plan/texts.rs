//! Runs of texts of different lengths without padding: their tokens lie one after another, as one long row.
//!
//! As a batch of equal items, texts are run in chunks, each by one thread from the first step to the last, where that
//! keeps every thread busy to the end.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use super::split::ROWS;
use super::{DataType, Plan, RunError};

/// What an input of a plan over texts holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextInput {
    /// Equal parts for all tokens, from the caller.
    Tokens,
    /// `[texts + 1]`, int32: where each text starts, and where the last one ends.
    Starts,
    /// `[tokens]`, int32: the place of each token in its text.
    Places,
}

/// The names of a plan over texts, by their index, and what its inputs and results hold.
#[derive(Clone, Debug)]
pub struct Texts {
    /// The name that counts all tokens.
    pub tokens: usize,
    /// The name that counts the texts.
    pub texts: usize,
    /// The name that is the longest text's number of tokens.
    pub longest: usize,
    /// What each input holds.
    pub inputs: Vec<TextInput>,
    /// Whether each result has equal parts for all tokens; else it has them for all texts.
    pub per_token: Vec<bool>,
}

/// Texts that run together: their range, and the tokens of theirs.
#[derive(Clone, Debug)]
struct Chunk {
    texts: Range<usize>,
    tokens: Range<usize>,
}

impl Plan {
    /// Computes all results for texts of these lengths; `inputs` are those that hold tokens. Names of `names` that
    /// [`Texts`] says are overwritten.
    ///
    /// # Errors
    ///
    /// As for [`Plan::run`]; also where the plan is not over texts, or a text has no tokens.
    pub fn run_texts(
        &self,
        names: &[i64],
        lengths: &[usize],
        inputs: &[&[u8]],
        outputs: &mut [&mut [u8]],
    ) -> Result<(), RunError> {
        let Some(plan) = &self.texts else { return Err(RunError::Array("the plan is not over texts".into())) };
        let given = plan.inputs.iter().filter(|input| **input == TextInput::Tokens).count();
        if lengths.contains(&0) || lengths.is_empty() {
            return Err(RunError::Array("a text without tokens".into()));
        }
        if names.len() <= plan.tokens.max(plan.texts).max(plan.longest)
            || given != inputs.len()
            || outputs.len() != plan.per_token.len()
        {
            return Err(RunError::Array(format!("{} inputs; the plan takes {given}", inputs.len())));
        }
        let total = lengths.iter().try_fold(0_i32, |sum, length| sum.checked_add(i32::try_from(*length).ok()?));
        let total = total.ok_or_else(|| RunError::Array("more tokens than 32 bits count".into()))? as usize;
        let chunks = self.text_chunks(plan, names, lengths, total)?;
        let is_alone = chunks.len() > 1;
        let mut jobs = Vec::with_capacity(chunks.len());
        let sizes: Vec<usize> = outputs.iter().map(|output| output.len()).collect();
        let mut rest: Vec<&mut [u8]> = outputs.iter_mut().map(|output| &mut **output).collect();
        for chunk in chunks {
            let own = inputs.iter().map(|input| Ok(&input[part(input.len(), total, &chunk.tokens)?]));
            let own: Vec<&[u8]> = own.collect::<Result<_, RunError>>()?;
            let mut results = Vec::with_capacity(rest.len());
            for ((output, size), per_token) in rest.iter_mut().zip(&sizes).zip(&plan.per_token) {
                let (count, range) = if *per_token { (total, &chunk.tokens) } else { (lengths.len(), &chunk.texts) };
                let (result, after) = std::mem::take(output).split_at_mut(part(*size, count, range)?.len());
                *output = after;
                results.push(result);
            }
            jobs.push((chunk, own, results));
        }
        // The largest first: threads that take the next one in turn then finish nearly together.
        jobs.sort_by_key(|(chunk, ..)| std::cmp::Reverse(chunk.tokens.len()));
        let failed = Mutex::new(None);
        let run = |(chunk, own, mut results): (Chunk, Vec<&[u8]>, Vec<&mut [u8]>)| {
            let engine = if is_alone { &self.alone } else { &*self.engine };
            let lengths = &lengths[chunk.texts.clone()];
            let names = named(plan, names, lengths);
            let (starts, places) = positions(lengths);
            let mut own = own.into_iter();
            let inputs: Vec<&[u8]> = (plan.inputs.iter())
                .map(|input| match input {
                    TextInput::Tokens => own.next().unwrap_or_default(),
                    TextInput::Starts => bytemuck::cast_slice(&starts),
                    TextInput::Places => bytemuck::cast_slice(&places),
                })
                .collect();
            let layout = self.layouts.get(&self.program, &names);
            if let Err(error) = layout.and_then(|layout| self.run_on(engine, &layout, &inputs, &mut results)) {
                failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
            }
        };
        // A single chunk is on this thread, and its steps are shared out.
        self.engine.pool.session(|| self.engine.pool.for_each(jobs, run));
        failed.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
    }

    /// The chunks to run these texts in: one, on all threads, where chunks would leave threads waiting.
    fn text_chunks(
        &self,
        plan: &Texts,
        names: &[i64],
        lengths: &[usize],
        total: usize,
    ) -> Result<Vec<Chunk>, RunError> {
        let threads = self.engine.threads();
        let wanted = total.div_ceil(ROWS).next_multiple_of(threads);
        let mut count = if total <= ROWS { 1 } else { wanted.min(lengths.len()) };
        let mut chunks = cut(lengths, total, count);
        if !is_balanced(&chunks, total, threads) {
            (count, chunks) = (1, cut(lengths, total, 1));
        }
        while let Some(allowed) = self.budget.filter(|_| count < lengths.len()) {
            let needed = |chunk: &Chunk| {
                let names = named(plan, names, &lengths[chunk.texts.clone()]);
                self.layouts.get(&self.program, &names).map(|layout| layout.bytes)
            };
            let sizes: Vec<usize> = chunks.iter().map(needed).collect::<Result<_, _>>()?;
            let largest = sizes.into_iter().max().unwrap_or_default();
            if largest.saturating_mul(threads.min(chunks.len())) <= allowed {
                break;
            }
            count = count.saturating_mul(2).clamp(2, lengths.len());
            chunks = cut(lengths, total, count);
        }
        Ok(chunks)
    }
}

/// The type of an input that the plan makes itself.
pub(super) fn input_type(input: TextInput) -> Option<DataType> {
    (input != TextInput::Tokens).then_some(DataType::Int32)
}

/// About `count` chunks of texts in order, with about as many tokens each.
fn cut(lengths: &[usize], total: usize, count: usize) -> Vec<Chunk> {
    let mut chunks: Vec<Chunk> = Vec::with_capacity(count);
    let (mut first, mut last_group) = (0, usize::MAX);
    for (text, length) in lengths.iter().enumerate() {
        // A text belongs to the group that its middle falls into.
        let group = (2 * first + length) * count / (2 * total).max(1);
        let end = first + length;
        match chunks.last_mut().filter(|_| group == last_group) {
            Some(chunk) => (chunk.texts.end, chunk.tokens.end) = (text + 1, end),
            None => chunks.push(Chunk { texts: text..text + 1, tokens: first..end }),
        }
        (first, last_group) = (end, group);
    }
    chunks
}

/// Whether threads that take these chunks in turn finish nearly together: sharing every step instead costs 3 to 5%.
fn is_balanced(chunks: &[Chunk], total: usize, threads: usize) -> bool {
    let mut busy = vec![0; threads.max(1)];
    let mut sizes: Vec<usize> = chunks.iter().map(|chunk| chunk.tokens.len()).collect();
    sizes.sort_unstable();
    for size in sizes.into_iter().rev() {
        if let Some(first) = busy.iter_mut().min() {
            *first += size;
        }
    }
    busy.into_iter().max().unwrap_or_default() * threads * 20 <= total * 23
}

/// The names with the numbers of these texts.
fn named(plan: &Texts, names: &[i64], lengths: &[usize]) -> Vec<i64> {
    let mut names = names.to_vec();
    names[plan.tokens] = lengths.iter().sum::<usize>() as i64;
    names[plan.texts] = lengths.len() as i64;
    names[plan.longest] = lengths.iter().copied().max().unwrap_or_default() as i64;
    names
}

/// Where texts start, with the end of the last one; and the place of each token in its text.
fn positions(lengths: &[usize]) -> (Vec<i32>, Vec<i32>) {
    let (mut starts, mut places) = (vec![0], Vec::new());
    for length in lengths {
        places.extend(0..*length as i32);
        starts.push(places.len() as i32);
    }
    (starts, places)
}

/// The bytes of `range`, of `count` equal parts of an array.
fn part(size: usize, count: usize, range: &Range<usize>) -> Result<Range<usize>, RunError> {
    if !size.is_multiple_of(count) {
        return Err(RunError::Array(format!("an array of {size} bytes cannot be cut into {count} parts")));
    }
    let each = size / count;
    Ok(range.start * each..range.end * each)
}

#[cfg(test)]
mod tests {
    use super::{cut, is_balanced, positions};

    #[test]
    fn chunks_hold_every_text_once_and_in_order() {
        for texts in [1, 2, 3, 10, 100] {
            let lengths: Vec<usize> = (0..texts).map(|i| 1 + (i * 7919) % 250).collect();
            let total = lengths.iter().sum();
            for count in [1, 2, 3, 8, texts] {
                let chunks = cut(&lengths, total, count);
                assert!(chunks.len() <= count);
                let (mut text, mut token) = (0, 0);
                for chunk in &chunks {
                    assert_eq!((chunk.texts.start, chunk.tokens.start), (text, token));
                    assert_eq!(lengths[chunk.texts.clone()].iter().sum::<usize>(), chunk.tokens.len());
                    (text, token) = (chunk.texts.end, chunk.tokens.end);
                }
                assert_eq!((text, token), (texts, total));
            }
        }
    }

    #[test]
    fn chunks_that_would_leave_a_thread_waiting_are_told() {
        let lengths = [500, 500, 500];
        assert!(!is_balanced(&cut(&lengths, 1500, 3), 1500, 2));
        assert!(is_balanced(&cut(&lengths, 1500, 3), 1500, 3));
        assert!(is_balanced(&cut(&lengths, 1500, 1), 1500, 1));
    }

    #[test]
    fn tokens_have_their_places_in_their_texts() {
        assert_eq!(positions(&[2, 3]), (vec![0, 2, 5], vec![0, 1, 0, 1, 2]));
    }
}
