//! The way into blocks of sixteen channels and back, and what is done to images in between besides convolutions.

use super::walk::{LANES, SMALL, Walk, pixels, sizes};
use super::windows::Options;
use super::{Context, Kind, Op, Request, Tensor, TensorMut, Types};
use crate::plan::{BuildError, DataType, DimId, RunError};
use kernels::{Line, Pixel, Rows, RowsMut, WindowRow, Windows};

const TYPES: Types = Types::of(&[DataType::Float32]);

pub(super) const KINDS: &[Kind] = &[
    Kind { name: "blockedPool", types: TYPES, make: pool },
    Kind { name: "blockedScale", types: TYPES, make: |request| plain(request, Way::Scale) },
    Kind { name: "fromBlocks", types: TYPES, make: |request| plain(request, Way::Back) },
    Kind { name: "toBlocks", types: TYPES, make: |request| plain(request, Way::There) },
];

/// Pixels of a piece of work: their 64 KiB and what they become share a second-level cache.
const PIECE: usize = 1 << 10;

enum Way {
    /// `[images, channels, height, width]` into blocks.
    There,
    Back,
    /// Each channel of each image times a number: `x * [images, blocks, 1, 1, 16]`.
    Scale,
}

struct Plain {
    way: Way,
}

fn plain(request: &Request<'_>, way: Way) -> Result<Box<dyn Op>, BuildError> {
    let ranks = [request.operand(0)?.rank(), request.result()?.rank()];
    let wanted = match way {
        Way::There => [4, 5],
        Way::Back => [5, 4],
        Way::Scale => [request.operand(1)?.rank(), 5],
    };
    if ranks != wanted || request.result()?.dtype != DataType::Float32 {
        return Err(BuildError::Value(format!("{}: ranks {ranks:?}; must be {wanted:?}", request.kind)));
    }
    Ok(Box::new(Plain { way }))
}

impl Op for Plain {
    fn label(&self) -> String {
        match self.way {
            Way::There => "into blocks".into(),
            Way::Back => "out of blocks".into(),
            Way::Scale => "mul".into(),
        }
    }

    fn in_place(&self) -> &[usize] {
        if matches!(self.way, Way::Scale) { &[0] } else { &[] }
    }

    fn run(
        &self,
        operands: &[Tensor<'_>],
        results: &mut [TensorMut<'_>],
        cx: &mut Context<'_>,
    ) -> Result<(), RunError> {
        let (x, shape) = (&operands[0], results[0].shape);
        let (whole, blocked) = if matches!(self.way, Way::Back) { (shape, x.shape) } else { (x.shape, shape) };
        let [images, blocks, height, width] = sizes(blocked)?;
        let (area, data) = (height * width, results[0].elements::<f32>());
        let kernels = cx.engine.kernels();
        if matches!(self.way, Way::Scale) {
            let factors = operands[1];
            if x.shape != shape || sizes(factors.shape)? != [images, blocks, 1, 1] {
                return Err(RunError::Operand(format!("{:?} times {:?} as {shape:?}", x.shape, factors.shape)));
            }
            let (factors, in_place) = (pixels(factors.elements()), cx.in_place.is_some());
            let from = pixels(x.elements());
            each_piece(data.as_chunks_mut().0, area, cx, |plane, start, out| {
                if !in_place {
                    out.copy_from_slice(&from[start..][..out.len()]);
                }
                kernels.scale(&factors[plane], out);
            });
            return Ok(());
        }
        let channels = whole[1];
        if *whole != [images, channels, height, width] || channels.div_ceil(LANES) != blocks {
            return Err(RunError::Operand(format!("{:?} as {shape:?}", x.shape)));
        }
        let own = |block: usize| LANES.min(channels - block * LANES);
        if matches!(self.way, Way::There) {
            let from = x.elements::<f32>();
            each_piece(data.as_chunks_mut().0, area, cx, |plane, start, out| {
                let (image, block) = (plane / blocks, plane % blocks);
                let first = (image * channels + block * LANES) * area;
                let rows = Rows::new(&from[first..], own(block), area, area).expect("channels of an image");
                kernels.to_pixels(rows.columns(start - plane * area, out.len()), out);
            });
            return Ok(());
        }
        let from = pixels(x.elements());
        let mut pieces = Vec::new();
        for (image, mut out) in data.chunks_exact_mut((channels * area).max(1)).enumerate() {
            for block in 0..blocks {
                let (own, others) = out.split_at_mut(own(block) * area);
                out = others;
                let mut rest = RowsMut::new(own, own.len() / area, area, area).expect("channels of an image");
                for place in (0..area).step_by(PIECE) {
                    let (own, others) = rest.split_at_col(PIECE.min(area - place));
                    rest = others;
                    pieces.push(((image * blocks + block) * area + place, own));
                }
            }
        }
        cx.for_each(pieces, |(start, out): (usize, RowsMut<'_>)| {
            kernels.from_pixels(&from[start..][..out.cols()], out);
        });
        Ok(())
    }
}

/// Calls `work` for parts of each plane of some pixels: with the plane, where the part starts, and the part.
fn each_piece(out: &mut [Pixel], area: usize, cx: &Context<'_>, work: impl Fn(usize, usize, &mut [Pixel]) + Sync) {
    let is_small = out.len() * LANES < SMALL;
    let mut pieces = Vec::new();
    for (plane, out) in out.chunks_exact_mut(area.max(1)).enumerate() {
        let parts = out.chunks_mut(PIECE).enumerate();
        pieces.extend(parts.map(|(part, out)| (plane, plane * area + part * PIECE, out)));
    }
    let work = |(plane, start, out): (usize, usize, &mut [Pixel])| work(plane, start, out);
    if is_small { pieces.into_iter().for_each(work) } else { cx.for_each(pieces, work) }
}

/// The mean of each window's part inside the image, or its largest number.
struct Pool {
    options: Options,
    window: Vec<DimId>,
    is_mean: bool,
}

fn pool(request: &Request<'_>) -> Result<Box<dyn Op>, BuildError> {
    let window = request.attributes.dims("windowDimensions")?.to_vec();
    if window.len() != 2 || request.result()?.rank() != 5 || request.operand(0)?.rank() != 5 {
        return Err(BuildError::Value(format!("blockedPool: a window of {} axes, or no blocks", window.len())));
    }
    let is_mean = *request.attributes.bool("mean")?;
    Ok(Box::new(Pool { options: Options::new(request)?, window, is_mean }))
}

impl Op for Pool {
    fn label(&self) -> String {
        if self.is_mean { "averagePool2d".into() } else { "maxPool2d".into() }
    }

    fn run(
        &self,
        operands: &[Tensor<'_>],
        results: &mut [TensorMut<'_>],
        cx: &mut Context<'_>,
    ) -> Result<(), RunError> {
        let ([images, blocks, image @ ..], [out_images, out_blocks, out @ ..]) =
            (sizes(operands[0].shape)?, sizes(results[0].shape)?);
        let window = cx.sizes(&self.window)?;
        let window = [window[0], window[1]];
        if images != out_images || blocks != out_blocks {
            return Err(RunError::Operand(format!("{:?} as {:?}", operands[0].shape, results[0].shape)));
        }
        let geometry = self.options.geometry(cx)?;
        let walk = Walk { geometry, window, image, out };
        let (x, data) = (pixels(operands[0].elements()), results[0].elements::<f32>());
        if data.is_empty() {
            return Ok(());
        }
        let lines = out[0].div_ceil(cx.pieces(data.len() * window[0] * window[1]).div_ceil(images * blocks));
        let kernels = cx.engine.kernels();
        let step = geometry.strides[1];
        let ones = vec![Line([1.0; LANES]); if self.is_mean { window[0] * window[1] } else { 0 }];
        walk.each_part(data, lines, cx, |plane, rows, _, out| {
            let plane = &x[plane * walk.area()..][..walk.area()];
            let (mut row, mut sums) = (Vec::new(), Vec::new());
            walk.rows(plane, rows, out, |x, taps, out| {
                if !self.is_mean {
                    kernels.window_row(&WindowRow { x, taps, step, windows: Windows::Largest }, out);
                    return;
                }
                // Rows of a window in float32, their sum in float64: a window may be a whole image.
                row.clear();
                row.resize(out.len(), [0.0; LANES]);
                sums.clear();
                sums.resize(out.len(), [0.0_f64; LANES]);
                for taps in taps.chunk_by(|a, b| a[1] / window[1] == b[1] / window[1]) {
                    let windows = Windows::Sum(&ones, &Line([0.0; LANES]));
                    kernels.window_row(&WindowRow { x, taps, step, windows }, &mut row);
                    for (sums, row) in sums.iter_mut().zip(&row) {
                        sums.iter_mut().zip(row).for_each(|(sum, x)| *sum += f64::from(*x));
                    }
                }
                for (out, sums) in out.iter_mut().zip(&sums) {
                    *out = sums.map(|sum| (sum / taps.len() as f64) as f32);
                }
            });
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::ops::testing::{Given, run};
    use crate::plan::DataType::Float32;

    #[test]
    fn images_go_into_blocks_and_come_back() {
        for channels in [1_usize, 15, 16, 37] {
            for [height, width] in [[1, 1], [3, 7], [40, 70]] {
                let (plain, blocked) = ([2, channels, height, width], [2, channels.div_ceil(16), height, width, 16]);
                let data: Vec<f32> = (0..plain.iter().product()).map(|i| i as f32).collect();
                let there = run("toBlocks", &[Given::new(Float32, &plain, &data)], &[], &[(Float32, &blocked)], 2);
                let there = there.unwrap().remove(0);
                let at = |image: usize, channel: usize, place: usize| {
                    let block = image * blocked[1] + channel / 16;
                    there.elements::<f32>()[(block * height * width + place) * 16 + channel % 16]
                };
                for (index, x) in data.iter().enumerate() {
                    let (plane, place) = (index / (height * width), index % (height * width));
                    assert_eq!(at(plane / channels, plane % channels, place), *x, "{plain:?}");
                }
                let factors = Given::new(Float32, &[2, blocked[1], 1, 1, 16], &vec![3.0_f32; 2 * blocked[1] * 16]);
                let scaled = run("blockedScale", &[there, factors], &[], &[(Float32, &blocked)], 2).unwrap().remove(0);
                let back = run("fromBlocks", &[scaled], &[], &[(Float32, &plain)], 2).unwrap();
                assert!(back[0].elements::<f32>().iter().zip(&data).all(|(got, x)| *got == x * 3.0), "{plain:?}");
            }
        }
    }

    #[test]
    fn sizes_that_do_not_fit_are_refused() {
        let x = || Given::new(Float32, &[1, 17, 2, 2], &[0.0_f32; 68]);
        assert!(run("toBlocks", &[x()], &[], &[(Float32, &[1, 1, 2, 2, 16])], 1).is_err());
        assert!(run("toBlocks", &[x()], &[], &[(Float32, &[1, 2, 2, 2, 8])], 1).is_err());
        let factors = Given::new(Float32, &[1, 1, 1, 1, 16], &[0.0_f32; 16]);
        let image = Given::new(Float32, &[1, 2, 2, 2, 16], &[0.0_f32; 128]);
        assert!(run("blockedScale", &[image, factors], &[], &[(Float32, &[1, 2, 2, 2, 16])], 1).is_err());
    }
}
