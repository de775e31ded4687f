//! Transposed convolution: the product of the filters with the image gives what each element adds to its window; the
//! windows are added up in a fixed order.

use super::filter::Filter;
use super::float::Float;
use super::windows::{Field, Geometry, Options, Planes, image_axes};
use super::{Context, Kind, Op, Request, Tensor, TensorMut, Types};
use crate::plan::{BuildError, DataType, RunError};
use crate::{Rows, scratch};
use kernels::{Line, Matmul, Panels, RowsMut};

pub(super) const KINDS: &[Kind] = &[Kind { name: "convTranspose2d", types: Types::FLOATS, make }];

/// Places of an image that are multiplied at a time.
const TOGETHER: usize = 1 << 10;
/// Numbers that one piece of work adds up at a time: 4 MiB.
const SUMMANDS: usize = 1 << 20;

struct ConvTranspose {
    options: Options,
    filter: Filter,
    groups: usize,
    image: [usize; 4],
}

fn make(request: &Request<'_>) -> Result<Box<dyn Op>, BuildError> {
    let image = image_axes(request, "inputLayout")?;
    let groups = usize::try_from(*request.attributes.int("groups")?).ok().filter(|groups| *groups > 0);
    let groups = groups.ok_or_else(|| BuildError::Attribute("convTranspose2d: no groups".into()))?;
    let filter = Filter::new(request, "ohwi", false)?;
    Ok(Box::new(ConvTranspose { options: Options::new(request)?, filter, groups, image }))
}

impl Op for ConvTranspose {
    fn label(&self) -> String {
        "convTranspose2d".into()
    }

    fn taken(&self) -> &[usize] {
        self.filter.taken()
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

/// Everything about one call but the numbers.
struct Shapes {
    geometry: Geometry,
    /// Channels that a group reads, and that it makes.
    channels: [usize; 2],
    window: [usize; 2],
    image: [usize; 2],
    out: [usize; 2],
}

impl ConvTranspose {
    fn compute<T: Float>(
        &self,
        operands: &[Tensor<'_>],
        result: &mut TensorMut<'_>,
        cx: &Context<'_>,
    ) -> Result<(), RunError> {
        let (x, made) = (Planes::new(operands[0].shape, self.image)?, Planes::new(result.shape, self.image)?);
        let [o, height, width, i] = self.filter.sizes(operands[1].shape)?;
        let ([images, channels, image @ ..], [out_images, out_channels, out @ ..]) = (x.sizes, made.sizes);
        if images != out_images || channels != i || i % self.groups != 0 || out_channels != o * self.groups {
            return Err(RunError::Operand(format!("{:?} by {:?} as {:?}", x.sizes, [o, height, width, i], made.sizes)));
        }
        let bias: Option<Vec<f32>> = (operands.get(2).filter(|bias| bias.is_present()))
            .map(|bias| bias.elements::<T>().iter().map(|x| x.single()).collect());
        if bias.as_ref().is_some_and(|bias| bias.len() != out_channels) {
            return Err(RunError::Operand(format!("a bias of another size than {out_channels}")));
        }
        if result.data.is_empty() {
            return Ok(());
        }
        let mut widened = Vec::new();
        let is_plain = T::holds(DataType::Float32) && x.is_plain();
        let data: &[f32] = if is_plain {
            operands[0].elements()
        } else {
            let plain = Geometry { begin: [0; 2], end: [0; 2], strides: [1; 2], dilations: [1; 2] };
            let field = Field::new(plain, image, [1; 2], image);
            widened.resize(images * channels * x.area(), 0.0);
            let data = operands[0].elements::<T>();
            cx.for_each(
                widened.chunks_mut(x.area().max(1)).enumerate().collect(),
                |(plane, to): (usize, &mut [f32])| {
                    let from = x.plane(data, plane / channels, plane % channels);
                    field.write((from, x.step()), 0.0, Float::single, to);
                },
            );
            &widened
        };
        let geometry = self.options.geometry(cx)?;
        let channels = [i / self.groups, o];
        let shapes = Shapes { geometry, channels, window: [height, width], image, out };
        let filter = self.filter.rows::<T>(operands)?;
        if T::holds(DataType::Float32) && made.is_plain() {
            self.add_up(data, &filter, bias.as_deref(), &shapes, result.elements::<f32>(), cx);
            return Ok(());
        }
        let mut sums = vec![0.0; made.sizes.iter().product()];
        self.add_up(data, &filter, bias.as_deref(), &shapes, &mut sums, cx);
        made.store(&sums, result.elements::<T>(), cx);
        Ok(())
    }

    fn add_up(
        &self,
        data: &[f32],
        filter: &[f32],
        bias: Option<&[f32]>,
        shapes: &Shapes,
        out: &mut [f32],
        cx: &Context<'_>,
    ) {
        let Shapes { channels: [read, made], window, image, out: sizes, .. } = *shapes;
        let (area, seen, taps) = (sizes[0] * sizes[1], image[0] * image[1], window[0] * window[1]);
        let kernels = cx.engine.kernels();
        let groups = out.len() / (made * area);
        let wanted = cx.pieces(2 * groups * made * taps * seen * read);
        let together = (SUMMANDS / (taps * seen).max(1)).min(made.div_ceil(wanted.div_ceil(groups))).max(1);
        let mut pieces = Vec::new();
        for (group, out) in out.chunks_exact_mut(made * area).enumerate() {
            pieces.extend(out.chunks_mut(together * area).enumerate().map(|(part, out)| (group, part * together, out)));
        }
        cx.for_each(pieces, |(group, first, out): (usize, usize, &mut [f32])| {
            let own = group % self.groups;
            let count = out.len() / area * taps;
            for (channel, out) in out.chunks_exact_mut(area).enumerate() {
                out.fill(bias.map_or(0.0, |bias| bias[own * made + first + channel]));
            }
            // Some rows of the image at a time, which depend on nothing but its size: what is packed of them and what
            // comes of it stay in a cache.
            let lines = (TOGETHER / image[1].max(1)).max(1);
            for top in (0..image[0]).step_by(lines) {
                let places = lines.min(image[0] - top) * image[1];
                if count * places == 0 {
                    continue;
                }
                // A row of the filters has the channels of all groups.
                let rows = &filter[first * taps * read * self.groups + own * read..];
                let a = Rows::new(rows, count, read, read * self.groups).expect("filters");
                let from = &data[group * read * seen + top * image[1]..];
                let mut summands = vec![0.0; count * places];
                scratch::with(|scratch| {
                    let needed = Panels::lines_for(read, places, kernels.panel_width);
                    if scratch.packed.len() < needed {
                        scratch.packed.resize(needed, Line::default());
                    }
                    let lines = &mut scratch.packed[..needed];
                    let b = Panels::pack(lines, from, [read, places], [seen, 1], kernels.panel_width);
                    let to = RowsMut::new(&mut summands, count, places, places).expect("a row for each tap");
                    kernels.matmul(&Matmul::new(a, b), &mut scratch.kernels, to);
                });
                for (channel, out) in out.chunks_exact_mut(area).enumerate() {
                    for tap in 0..taps {
                        let from = summands[(channel * taps + tap) * places..][..places].chunks_exact(image[1]);
                        shapes.add([tap / window[1], tap % window[1]], top, from, out);
                    }
                }
            }
        });
    }
}

impl Shapes {
    /// Adds what one place of the window gets to a plane of results, from row `top` of the image on.
    fn add<'a>(&self, [u, v]: [usize; 2], top: usize, from: impl Iterator<Item = &'a [f32]>, out: &mut [f32]) {
        let Geometry { begin, strides, dilations, .. } = self.geometry;
        let [height, width] = self.out;
        let column = v * dilations[1];
        // Elements whose column is inside the result.
        let bound = |edge: usize| edge.saturating_sub(column).div_ceil(strides[1]).min(self.image[1]);
        let (low, high) = (bound(begin[1]), bound(begin[1] + width));
        for (y, from) in (top..).zip(from) {
            let row = (y * strides[0] + u * dilations[0]).wrapping_sub(begin[0]);
            if row >= height || low >= high {
                continue;
            }
            let to = &mut out[row * width + low * strides[1] + column - begin[1]..];
            for (to, from) in to.iter_mut().step_by(strides[1]).zip(&from[low..high]) {
                *to += from;
            }
        }
    }
}
