//! Images in blocks of sixteen channels, `[images, blocks, height, width, 16]`: convolutions, pools, and the way there
//! and back.
//!
//! A network's images are brought into blocks once and stay in them from convolution to convolution. Behind the last
//! channel the lanes hold anything; nothing here reads them into another channel.

use super::chain::Chain;
use super::conv::finish;
use super::filter::blocks;
use super::walk::{LANES, Walk, pixels, sizes};
use super::windows::Options;
use super::{Context, Kind, Op, Request, Tensor, TensorMut, Types};
use crate::plan::{BuildError, DataType, RunError};
use crate::scratch;
use kernels::{Line, Lines, Pixel, RowsMut, WindowProduct, WindowRow, Windows};

const TYPES: Types = Types::of(&[DataType::Float32]);

pub(super) const KINDS: &[Kind] = &[Kind { name: "blockedConv", types: TYPES, make: conv }];

/// Blocks and taps that are multiplied at a time: a panel of filters of 64 KiB and what it is multiplied with share a
/// second-level cache.
const STARTS: usize = 32;
/// Windows in a row up to which a plane is copied with its border: the ends of rows, one window at a time, cost more
/// than that. 5 x 5 over 60 blocks of 7 x 7: 216 us without.
const NARROW: usize = 32;
/// Operations that no thread is woken for: about 20 us. A network's steps follow at once, while the threads still wait.
const ALONE: usize = 1 << 21;
/// Tiles of windows that a panel of filters is used for.
const TILES: usize = 8;

/// `then(after(filter * x + bias) + residual)`, as `convLayer`.
///
/// Operands: x, filter and bias, which are constant, and a residual.
struct Conv {
    options: Options,
    groups: usize,
    window: [usize; 2],
    /// Channels that a group reads, and that it makes.
    channels: [usize; 2],
    /// A row of lines for each channel and tap of each panel of filters; for filters of one channel each a line for
    /// each tap of each block.
    filters: Lines,
    /// A line for each block of results.
    bias: Vec<Line>,
    after: Chain,
    then: Chain,
    taken: Vec<usize>,
}

fn conv(request: &Request<'_>) -> Result<Box<dyn Op>, BuildError> {
    let groups = usize::try_from(*request.attributes.int("groups")?).ok().filter(|groups| *groups > 0);
    let groups = groups.ok_or_else(|| BuildError::Attribute("blockedConv: no groups".into()))?;
    let channels = usize::try_from(*request.attributes.int("channels")?).unwrap_or(0);
    let ranks = [request.operand(0)?.rank(), request.result()?.rank()];
    if ranks != [5, 5] || request.optional(3).is_some_and(|residual| residual.rank() != 5) {
        return Err(BuildError::Value("blockedConv: images that are not in blocks".into()));
    }
    let (filter, [o, i, height, width]) = super::filter::constant(request)?;
    let bias = super::filter::constant_bias(request, o)?;
    let is_single = i == 1 && groups == channels && o == groups;
    let is_whole = i % LANES == 0 && (o / groups) % LANES == 0;
    if i * groups != channels || o % groups != 0 || !(is_single || groups == 1 || is_whole) {
        return Err(request.unsupported(format!("{o} filters of {i} channels in {groups} groups")));
    }
    let window = [height, width];
    let taps = height * width;
    let filters = if is_single {
        blocks(o)
            .flat_map(|block| (0..taps).map(move |tap| (block, tap)))
            .map(|(block, tap)| line(block..o.min(block + LANES), |made| filter[made * taps + tap]))
            .collect()
    } else {
        panels(&filter, [o / groups, groups], i, taps, request.engine.kernels().panel_width / LANES)
    };
    let bias = blocks(o).map(|block| line(block..o.min(block + LANES), |made| bias[made])).collect();
    Ok(Box::new(Conv {
        options: Options::new(request)?,
        groups,
        window,
        channels: [i, o / groups],
        filters: on_large_pages(&filters),
        bias,
        after: Chain::new(request, "after")?,
        then: Chain::new(request, "then")?,
        taken: if request.optional(2).is_some() { vec![1, 2] } else { vec![1] },
    }))
}

fn on_large_pages(lines: &[Line]) -> Lines {
    let mut found = Lines::zeroed(lines.len());
    found.copy_from_slice(lines);
    found
}

/// A number for each lane, zeros behind the last one.
fn line(range: std::ops::Range<usize>, number: impl Fn(usize) -> f32) -> Line {
    let mut line = Line::default();
    line.0.iter_mut().zip(range).for_each(|(lane, index)| *lane = number(index));
    line
}

/// Filters `[o, i, taps]` in the order of a [`WindowProduct`], one group after the other.
fn panels(filter: &[f32], [made, groups]: [usize; 2], i: usize, taps: usize, vectors: usize) -> Vec<Line> {
    let count = made.div_ceil(LANES);
    let mut lines = Vec::with_capacity(groups * count * i * taps);
    for group in 0..groups {
        for first in (0..count).step_by(vectors) {
            for channels in blocks(i) {
                for tap in 0..taps {
                    for channel in channels..i.min(channels + LANES) {
                        for block in first..count.min(first + vectors) {
                            let own = block * LANES..made.min((block + 1) * LANES);
                            lines.push(line(own, |o| filter[((group * made + o) * i + channel) * taps + tap]));
                        }
                    }
                }
            }
        }
    }
    lines
}

impl Op for Conv {
    fn label(&self) -> String {
        "conv2d".into()
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
        let shape = results[0].shape;
        let ([images, read, image @ ..], [out_images, made, out @ ..]) = (sizes(operands[0].shape)?, sizes(shape)?);
        let [i, o] = self.channels;
        let geometry = self.options.geometry(cx)?;
        let blocks = [i * self.groups, o * self.groups].map(|channels| channels.div_ceil(LANES));
        if images != out_images || [read, made] != blocks || geometry.places(image, self.window) != Some(out) {
            let message = format!("{:?} by {i} to {o} in {} as {shape:?}", operands[0].shape, self.groups);
            return Err(RunError::Operand(message));
        }
        let residual = operands.get(3).filter(|residual| residual.is_present());
        if residual.is_some_and(|residual| residual.shape != shape) {
            return Err(RunError::Operand("a residual of another shape".into()));
        }
        let residual = residual.map(Tensor::elements);
        let walk = Walk { geometry, window: self.window, image, out };
        let (x, out) = (pixels(operands[0].elements()), results[0].elements::<f32>());
        if out.is_empty() {
            return Ok(());
        }
        if i == 1 && self.groups == o * self.groups && self.groups > 1 {
            self.rows(x, out, residual, &walk, cx);
        } else {
            self.products(x, out, residual, &walk, cx);
        }
        Ok(())
    }
}

impl Conv {
    /// Filters of one channel.
    fn rows(&self, x: &[Pixel], out: &mut [f32], residual: Option<&[f32]>, walk: &Walk, cx: &Context<'_>) {
        let ([height, width], taps) = (walk.out, walk.window[0] * walk.window[1]);
        let kernels = cx.engine.kernels();
        let lines = height.div_ceil(cx.pieces(2 * out.len() * taps).div_ceil(out.len() / (height * width * LANES)));
        walk.each_part(out, lines, cx, |plane, rows, start, out| {
            let block = plane % self.bias.len();
            let windows = Windows::Sum(&self.filters[block * taps..][..taps], &self.bias[block]);
            let image = &x[plane * walk.area()..][..walk.area()];
            let step = walk.geometry.strides[1];
            let work = |x: &[Pixel], taps: &[[usize; 2]], out: &mut [Pixel]| {
                kernels.window_row(&WindowRow { x, taps, step, windows }, out);
            };
            if width <= NARROW && walk.geometry.has_border() {
                scratch::with(|scratch| {
                    let bordered = walk.bordered();
                    walk.write_bordered(image, &bordered, &mut scratch.pixels);
                    bordered.rows(&scratch.pixels, rows, out, work);
                });
            } else {
                walk.rows(image, rows, out, work);
            }
            let out = out.as_flattened_mut();
            let residual = residual.map(|residual| &residual[start..][..out.len()]);
            finish(kernels, [&self.after, &self.then], residual, out);
        });
    }

    fn products(&self, x: &[Pixel], out: &mut [f32], residual: Option<&[f32]>, walk: &Walk, cx: &Context<'_>) {
        let kernels = cx.engine.kernels();
        let ([i, o], taps, area) = (self.channels, walk.window[0] * walk.window[1], walk.out[0] * walk.out[1]);
        let (read, made, rows) = (i.div_ceil(LANES), o.div_ceil(LANES), i * taps);
        let all = out.len() / (made * area * LANES);
        let operations = 2 * out.len() * rows;
        let wanted = if operations < ALONE { 1 } else { cx.pieces(operations).max(cx.engine.threads()) };
        // Windows that share a panel of filters, in whole tiles.
        let together = area.div_ceil(area.div_ceil(TILES * kernels.tile_rows)).next_multiple_of(kernels.tile_rows);
        let vectors = kernels.panel_width / LANES;
        let parts = wanted.div_ceil(all * area.div_ceil(together)).min(made.div_ceil(2 * vectors)).max(1);
        let filters = made.div_ceil(parts).next_multiple_of(vectors);
        let mut pieces = Vec::new();
        for (group, out) in out.chunks_exact_mut(made * area * LANES).enumerate() {
            let mut rest = RowsMut::new(out, made, area * LANES, area * LANES).expect("a row for each block");
            for first in (0..made).step_by(filters) {
                let (mut block, after) = rest.split_at_row(filters.min(made - first));
                rest = after;
                for place in (0..area).step_by(together) {
                    let (own, others) = block.split_at_col(together.min(area - place) * LANES);
                    block = others;
                    pieces.push((group, first, place, own));
                }
            }
        }
        let is_direct = walk.is_direct();
        let (starts, lanes) = (read * taps, i - (read - 1) * LANES);
        let short = if lanes == LANES { 0 } else { taps };
        let work = |(number, first, place, mut own): (usize, usize, usize, RowsMut<'_>)| {
            let (group, count) = (number % self.groups, own.cols() / LANES);
            let image = &x[number * read * walk.area()..][..read * walk.area()];
            let block = group * made + first;
            let filters = &self.filters[block * rows..][..own.count() * rows];
            scratch::with(|scratch| {
                let mut done = 0;
                for from in (0..starts).step_by(STARTS) {
                    let to = starts.min(from + STARTS);
                    let short = (to + short).saturating_sub(starts.max(from + short)).min(short);
                    let mut at = [0; STARTS];
                    let x = if is_direct {
                        at.iter_mut().zip(from..).for_each(|(at, block)| *at = block * walk.area() + place);
                        image
                    } else {
                        at.iter_mut().enumerate().for_each(|(index, at)| *at = index * count);
                        if scratch.pixels.len() < (to - from) * count {
                            scratch.pixels.resize((to - from) * count, [0.0; LANES]);
                        }
                        let packed = &mut scratch.pixels[..(to - from) * count];
                        for (start, packed) in (from..to).zip(packed.chunks_exact_mut(count)) {
                            walk.pack(&image[start / taps * walk.area()..], start % taps, place, packed);
                        }
                        packed
                    };
                    let task = WindowProduct {
                        x,
                        starts: &at[..to - from],
                        short,
                        lanes,
                        filters,
                        rows: [rows, done],
                        bias: (from == 0).then(|| &self.bias[block..][..own.count()]),
                    };
                    kernels.window_product(&task, own.lend());
                    done += (to - from - short) * LANES + short * lanes;
                }
            });
            for row in 0..own.count() {
                let start = ((number * made + first + row) * area + place) * LANES;
                let residual = residual.map(|residual| &residual[start..][..count * LANES]);
                finish(kernels, [&self.after, &self.then], residual, own.row(row));
            }
        };
        if wanted == 1 {
            pieces.into_iter().for_each(work);
        } else {
            cx.for_each(pieces, work);
        }
    }
}
