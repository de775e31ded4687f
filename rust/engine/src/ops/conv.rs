//! Convolution: for each group the product of its filters with a matrix of what the windows see, of which only the
//! columns of one piece of work exist at a time; for filters of one channel each, sums of scaled rows.

use super::chain::Chain;
use super::filter::Filter;
use super::float::Float;
use super::windows::{Field, Options, Planes, image_axes};
use super::{Context, Kind, Op, Request, Tensor, TensorMut, Types};
use crate::plan::{BuildError, DataType, RunError};
use crate::{Kernels, Rows, scratch};
use kernels::{Line, Matmul, Panels, RowsMut, WeightedSum};

pub(super) const KINDS: &[Kind] = &[
    Kind { name: "conv2d", types: Types::FLOATS, make: conv2d },
    // With a residual and functions: of a name of its own, so that an engine without them cannot pass over them.
    Kind { name: "convLayer", types: Types::of(&[DataType::Float32]), make: conv2d },
];

/// Bytes of packed columns that a piece has at a time: they and a block of filters share a second-level cache.
const PACKED_BYTES: usize = 1 << 19;
/// Filters that are multiplied at a time, in tiles.
const BLOCK_TILES: usize = 8;

/// `then(after(filter * x + bias) + residual)`: two chains of functions, by the attributes `after` and `then`.
///
/// Operands: x, filter, bias, residual.
struct Conv {
    options: Options,
    filter: Filter,
    groups: usize,
    image: [usize; 4],
    is_half: bool,
    after: Chain,
    then: Chain,
}

fn conv2d(request: &Request<'_>) -> Result<Box<dyn Op>, BuildError> {
    let image = image_axes(request, "inputLayout")?;
    let filter = Filter::new(request, "oihw", true)?;
    let groups = usize::try_from(*request.attributes.int("groups")?).ok().filter(|groups| *groups > 0);
    let groups = groups.ok_or_else(|| BuildError::Attribute("conv2d: no groups".into()))?;
    if request.optional(3).is_some_and(|residual| residual.dtype != DataType::Float32) {
        return Err(request.unsupported("a residual of another type than float32"));
    }
    let is_half = request.operand(0)?.dtype == DataType::Float16;
    let (after, then) = (Chain::new(request, "after")?, Chain::new(request, "then")?);
    Ok(Box::new(Conv { options: Options::new(request)?, filter, groups, image, is_half, after, then }))
}

impl Op for Conv {
    fn label(&self) -> String {
        "conv2d".into()
    }

    fn taken(&self) -> &[usize] {
        self.filter.taken()
    }

    fn scratch(&self, operands: &[&[usize]], results: &[&[usize]]) -> usize {
        let planes = [operands[0], results[0]].map(|shape| Planes::new(shape, self.image));
        let (Some(geometry), [Ok(x), Ok(made)]) = (self.options.fixed, planes) else {
            return 0;
        };
        let ([images, channels, image @ ..], [_, _, out @ ..]) = (x.sizes, made.sizes);
        let Ok([_, _, window @ ..]) = self.filter.sizes(operands[1]) else {
            return 0;
        };
        let field = Field::new(geometry, image, window, out);
        let is_needed = self.is_half || !x.is_plain() || field.direct().is_none();
        if is_needed { images * channels * field.area() * size_of::<f32>() } else { 0 }
    }

    fn run(
        &self,
        operands: &[Tensor<'_>],
        results: &mut [TensorMut<'_>],
        cx: &mut Context<'_>,
    ) -> Result<(), RunError> {
        match operands[0].dtype {
            DataType::Float32 => self.compute::<f32>(operands, &mut results[0], cx),
            _ => self.compute::<u16>(operands, &mut results[0], cx),
        }
    }
}

/// Everything about one convolution but the numbers.
struct Shapes {
    /// Channels that a group reads, and that it makes.
    channels: [usize; 2],
    window: [usize; 2],
    out: [usize; 2],
    field: Field,
}

/// Where a convolution goes: the sums, and what is added to them.
struct Goal<'a> {
    out: &'a mut [f32],
    residual: Option<&'a [f32]>,
}

impl Conv {
    fn compute<T: Float>(
        &self,
        operands: &[Tensor<'_>],
        result: &mut TensorMut<'_>,
        cx: &mut Context<'_>,
    ) -> Result<(), RunError> {
        let (x, made) = (Planes::new(operands[0].shape, self.image)?, Planes::new(result.shape, self.image)?);
        let [o, i, window @ ..] = self.filter.sizes(operands[1].shape)?;
        let ([images, channels, image @ ..], [out_images, out_channels, out @ ..]) = (x.sizes, made.sizes);
        let geometry = self.options.geometry(cx)?;
        let sizes_fit = geometry.places(image, window) == Some(out);
        if images != out_images
            || channels != i * self.groups
            || o != out_channels
            || o % self.groups != 0
            || !sizes_fit
        {
            return Err(RunError::Operand(format!(
                "{:?} by {:?} as {:?}",
                x.sizes,
                [o, i, window[0], window[1]],
                made.sizes
            )));
        }
        if result.data.is_empty() {
            return Ok(());
        }
        let field = Field::new(geometry, image, window, out);
        let is_plain = T::holds(DataType::Float32) && x.is_plain();
        let direct = field.direct().filter(|_| is_plain);
        let mut own = Vec::new();
        let field = direct.unwrap_or(field);
        let data: &[f32] = match direct {
            Some(_) => operands[0].elements(),
            None => {
                let area = field.area();
                // Nothing may lie anywhere.
                let planned = std::mem::take(&mut cx.scratch);
                let planned: &mut [f32] = if planned.is_empty() { &mut [] } else { bytemuck::cast_slice_mut(planned) };
                let bordered = match planned.get_mut(..images * channels * area) {
                    Some(planned) => planned,
                    None => {
                        own.resize(images * channels * area, 0.0);
                        &mut own[..]
                    }
                };
                let data = operands[0].elements::<T>();
                cx.for_each(
                    bordered.chunks_mut(area.max(1)).enumerate().collect(),
                    |(plane, to): (usize, &mut [f32])| {
                        let from = x.plane(data, plane / channels, plane % channels);
                        field.write((from, x.step()), 0.0, Float::single, to);
                    },
                );
                bordered
            }
        };
        let shapes = Shapes { channels: [i, o / self.groups], window, out, field };
        let filter = self.filter.rows::<T>(operands)?;
        let residual = operands.get(3).filter(|residual| residual.is_present());
        if residual.is_some_and(|residual| residual.shape != result.shape || !made.is_plain()) {
            return Err(RunError::Operand("a residual of another shape or layout".into()));
        }
        let residual = residual.map(Tensor::elements);
        if T::holds(DataType::Float32) && made.is_plain() {
            self.convolve(data, &filter, &shapes, Goal { out: result.elements::<f32>(), residual }, cx);
            return Ok(());
        }
        let mut sums = vec![0.0; made.sizes.iter().product()];
        self.convolve(data, &filter, &shapes, Goal { out: &mut sums, residual }, cx);
        made.store(&sums, result.elements::<T>(), cx);
        Ok(())
    }

    /// All planes of all images.
    fn convolve(&self, data: &[f32], filter: &[f32], shapes: &Shapes, goal: Goal<'_>, cx: &Context<'_>) {
        if shapes.channels[0] == 1 {
            self.scaled_rows(data, filter, shapes, goal, cx);
        } else {
            self.products(data, filter, shapes, goal, cx);
        }
    }

    /// Filters of one channel.
    fn scaled_rows(&self, data: &[f32], filter: &[f32], shapes: &Shapes, goal: Goal<'_>, cx: &Context<'_>) {
        let Goal { out, residual } = goal;
        let Shapes { channels: [_, filters], window, out: [height, width], field, .. } = *shapes;
        let all = filters * self.groups;
        let taps = field.taps(window);
        let steps = filter.len() / all;
        cx.for_each(out.chunks_mut(height * width).enumerate().collect(), |(number, out): (usize, &mut [f32])| {
            let (image, made) = (number / all, number % all);
            let plane = &data[(image * self.groups + made / filters) * field.area()..];
            let weights = &filter[made * steps..][..steps];
            // The bias, where there is one, comes behind the weights.
            let (weights, bias) = weights.split_at(taps.len());
            let bias = bias.first().copied().unwrap_or_default();
            for (y, out) in out.chunks_exact_mut(width).enumerate() {
                let task = WeightedSum { x: &plane[field.line(y)..], starts: &taps, weights, bias };
                cx.engine.kernels().weighted_sum(&task, out);
            }
            let own = residual.map(|residual| &residual[number * out.len()..][..out.len()]);
            finish(cx.engine.kernels(), [&self.after, &self.then], own, out);
        });
    }

    fn products(&self, data: &[f32], filter: &[f32], shapes: &Shapes, goal: Goal<'_>, cx: &Context<'_>) {
        let Goal { out, residual } = goal;
        let Shapes { channels: [read, made], window, out: [height, width], field } = *shapes;
        let (area, all) = (height * width, made * self.groups);
        let k = filter.len() / all;
        let taps = field.taps(window);
        let kernels = cx.engine.kernels();
        let (activation, after) = self.after.split();
        let is_finished = after.is_empty() && self.then.is_empty() && residual.is_none();
        let panels = area.div_ceil(kernels.panel_width);
        let images = out.len() / (all * area);
        let wanted = cx.pieces(2 * out.len() * k);
        // As many panels at a time as fit; fewer where that gives too few pieces, then fewer filters.
        let fitting = (PACKED_BYTES / (k * kernels.panel_width * 4).max(1)).max(1);
        let together = (images * self.groups * panels / wanted).clamp(1, fitting);
        let pieces = images * self.groups * panels.div_ceil(together);
        let parts = wanted.div_ceil(pieces).min(made.div_ceil(kernels.tile_rows)).max(1);
        let filters = made.div_ceil(parts);
        let mut pieces = Vec::with_capacity(pieces * parts);
        for (group, out) in out.chunks_exact_mut(made * area).enumerate() {
            let mut rest = RowsMut::new(out, made, area, area).expect("a plane for each filter");
            for first in (0..made).step_by(filters) {
                let (mut block, after) = rest.split_at_row(filters.min(made - first));
                rest = after;
                for column in (0..area).step_by(together * kernels.panel_width) {
                    let (own, others) = block.split_at_col((together * kernels.panel_width).min(area - column));
                    block = others;
                    pieces.push((group, first, column, own));
                }
            }
        }
        cx.for_each(pieces, |(group, first, column, mut rest): (usize, usize, usize, RowsMut<'_>)| {
            let planes = &data[group * read * field.area()..][..read * field.area()];
            let columns = Columns { field: &field, width, taps: &taps, rows: k };
            let filter = &filter[(group % self.groups * made + first) * k..];
            scratch::with(|scratch| {
                let (count, panel_width) = (rest.cols(), kernels.panel_width);
                let needed = Panels::lines_for(k, count, panel_width);
                if scratch.packed.len() < needed {
                    scratch.packed.resize(needed, Line::default());
                }
                let lines = &mut scratch.packed[..needed];
                columns.pack(planes, [column, count], panel_width / 16, lines);
                let b = Panels::packed(lines, [k, count], panel_width);
                let mut done = 0;
                while rest.count() > 0 {
                    let rows = (BLOCK_TILES * kernels.tile_rows).min(rest.count());
                    let (mut own, others) = rest.split_at_row(rows);
                    rest = others;
                    let a = Rows::new(&filter[done * k..], rows, k, k).expect("filters");
                    let task = Matmul { activation, ..Matmul::new(a, b) };
                    kernels.matmul(&task, &mut scratch.kernels, own.lend());
                    for row in (0..rows).filter(|_| !is_finished) {
                        let start = (group * made + first + done + row) * area + column;
                        let residual = residual.map(|residual| &residual[start..][..count]);
                        finish(kernels, [&after, &self.then], residual, own.row(row));
                    }
                    done += rows;
                }
            });
        });
    }
}

/// What follows the sums of a row.
pub(super) fn finish(kernels: &Kernels, [after, then]: [&Chain; 2], residual: Option<&[f32]>, row: &mut [f32]) {
    after.apply(kernels, row);
    if let Some(residual) = residual {
        kernels.accumulate(residual, row);
    }
    then.apply(kernels, row);
}

fn is_adjacent(places: &[usize; 16]) -> bool {
    places.windows(2).all(|pair| pair[1] == pair[0] + 1)
}

/// The matrix of what windows see: a row for each channel and tap, a column for each window.
struct Columns<'a> {
    field: &'a Field,
    /// Windows in a row.
    width: usize,
    taps: &'a [usize],
    /// One for each channel and tap, and a last one of ones where there is a bias.
    rows: usize,
}

impl Columns<'_> {
    /// Writes `count` columns from `first` on, in panels of `lines` lines.
    fn pack(&self, planes: &[f32], [first, count]: [usize; 2], lines: usize, to: &mut [Line]) {
        let (area, panel) = (self.field.area(), lines * 16);
        let place = |window: usize| self.field.line(window / self.width) + window % self.width;
        let size = self.rows * lines;
        for (number, to) in to.chunks_exact_mut(size.max(1)).enumerate() {
            // Columns behind the last one repeat it; what is computed for them is cut off.
            let columns = (number * panel..).map(|column| place(first + column.min(count - 1)));
            let places: Vec<usize> = columns.take(panel).collect();
            let (places, _) = places.as_chunks::<16>();
            let places: Vec<_> = places.iter().map(|places| (is_adjacent(places), places)).collect();
            let mut dest = to.chunks_exact_mut(lines);
            for plane in planes.chunks_exact(area.max(1)) {
                for tap in self.taps {
                    let x = &plane[*tap..];
                    for (line, (adjacent, places)) in dest.next().expect("a row for each tap").iter_mut().zip(&places) {
                        if *adjacent {
                            line.0.copy_from_slice(&x[places[0]..][..16]);
                        } else {
                            for (lane, place) in line.0.iter_mut().zip(*places) {
                                *lane = x[*place];
                            }
                        }
                    }
                }
            }
            if let Some(ones) = dest.next() {
                ones.fill(Line([1.0; 16]));
            }
        }
    }
}
