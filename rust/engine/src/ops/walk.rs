//! Images in blocks of sixteen channels, and where their windows' pixels are.

use std::ops::Range;

use super::Context;
use super::windows::Geometry;
use crate::plan::RunError;
use kernels::Pixel;

/// Channels of a block.
pub(super) const LANES: usize = 16;

/// Numbers that no thread is woken for.
pub(super) const SMALL: usize = 1 << 13;

/// The sizes of a blocked image: images, blocks, height and width.
pub(super) fn sizes(shape: &[usize]) -> Result<[usize; 4], RunError> {
    match *shape {
        [images, blocks, height, width, LANES] => Ok([images, blocks, height, width]),
        _ => Err(RunError::Operand(format!("{shape:?} is no image in blocks"))),
    }
}

pub(super) fn pixels(data: &[f32]) -> &[Pixel] {
    data.as_chunks().0
}

/// Windows over one plane of pixels.
pub(super) struct Walk {
    pub(super) geometry: Geometry,
    pub(super) window: [usize; 2],
    /// Height and width of the image, and of the results.
    pub(super) image: [usize; 2],
    pub(super) out: [usize; 2],
}

impl Walk {
    /// Pixels of the image.
    pub(super) fn area(&self) -> usize {
        self.image[0] * self.image[1]
    }

    /// The same windows over an image that has its border.
    pub(super) fn bordered(&self) -> Self {
        let Geometry { begin, end, .. } = self.geometry;
        let image = std::array::from_fn(|axis| begin[axis] + self.image[axis] + end[axis]);
        Self { geometry: Geometry { begin: [0; 2], end: [0; 2], ..self.geometry }, image, ..*self }
    }

    /// The pixels of a plane with a border of zeros.
    pub(super) fn write_bordered(&self, plane: &[Pixel], bordered: &Self, to: &mut Vec<Pixel>) {
        let ([top, left], [height, width]) = (self.geometry.begin, bordered.image);
        to.clear();
        to.resize(height * width, [0.0; LANES]);
        for (to, from) in to.chunks_exact_mut(width).skip(top).zip(plane.chunks_exact(self.image[1])) {
            to[left..left + from.len()].copy_from_slice(from);
        }
    }

    /// Whether each window is the pixel of the same number.
    pub(super) fn is_direct(&self) -> bool {
        let Geometry { begin, strides, .. } = self.geometry;
        self.window == [1, 1] && strides == [1, 1] && begin == [0, 0] && self.image == self.out
    }

    /// Which of `count` results along an axis have the tap inside the image; where the first one's pixel is.
    fn inside(&self, axis: usize, tap: usize) -> (Range<usize>, usize) {
        let Geometry { begin, strides, dilations, .. } = self.geometry;
        let (reach, stride) = (tap * dilations[axis], strides[axis]);
        let bound = |edge: usize| edge.saturating_sub(reach).div_ceil(stride).min(self.out[axis]);
        let (low, high) = (bound(begin[axis]), bound(begin[axis] + self.image[axis]));
        (low..high.max(low), (low * stride + reach).saturating_sub(begin[axis]))
    }

    /// The pixels that one tap sees in the windows from `place` on; zeros outside the image.
    pub(super) fn pack(&self, plane: &[Pixel], tap: usize, place: usize, to: &mut [Pixel]) {
        let ([_, width], [_, columns]) = (self.image, self.out);
        let (rows, first_row) = self.inside(0, tap / self.window[1]);
        let (inside, first_column) = self.inside(1, tap % self.window[1]);
        let stride = self.geometry.strides;
        let (mut rest, mut y, mut x) = (to, place / columns, place % columns);
        while !rest.is_empty() {
            let (own, others) = rest.split_at_mut((columns - x).min(rest.len()));
            let end = x + own.len();
            if rows.contains(&y) {
                let line = &plane[(first_row + (y - rows.start) * stride[0]) * width..][..width];
                let (low, high) = (inside.start.clamp(x, end), inside.end.clamp(x, end));
                own[..low - x].fill([0.0; LANES]);
                own[high - x..].fill([0.0; LANES]);
                if low < high {
                    let from = &line[first_column + (low - inside.start) * stride[1]..];
                    let own = &mut own[low - x..high - x];
                    if stride[1] == 1 {
                        own.copy_from_slice(&from[..own.len()]);
                    } else {
                        own.iter_mut().zip(from.iter().step_by(stride[1])).for_each(|(to, from)| *to = *from);
                    }
                }
            } else {
                own.fill([0.0; LANES]);
            }
            (rest, y, x) = (others, y + 1, 0);
        }
    }

    /// Calls `work` for parts of at most `lines` rows of each plane of results: with the plane, the rows, where the
    /// part starts, and the part.
    pub(super) fn each_part(
        &self,
        out: &mut [f32],
        lines: usize,
        cx: &Context<'_>,
        work: impl Fn(usize, Range<usize>, usize, &mut [Pixel]) + Sync,
    ) {
        let [height, width] = self.out;
        let (row, lines) = (width * LANES, lines.max(1));
        let is_small = out.len() < SMALL;
        let mut pieces = Vec::new();
        for (plane, out) in out.chunks_exact_mut(height * row).enumerate() {
            pieces.extend(out.chunks_mut(lines * row).enumerate().map(|(part, out)| (plane, part * lines, out)));
        }
        let work = |(plane, first, out): (usize, usize, &mut [f32])| {
            let rows = first..first + out.len() / row;
            work(plane, rows, (plane * height + first) * row, out.as_chunks_mut().0);
        };
        if is_small { pieces.into_iter().for_each(work) } else { cx.for_each(pieces, work) }
    }

    /// Calls `work` for runs of windows that have the same taps inside the image: with the plane, the taps and the
    /// results. Those of a row without its ends are one run.
    pub(super) fn rows(
        &self,
        plane: &[Pixel],
        rows: Range<usize>,
        out: &mut [Pixel],
        mut work: impl FnMut(&[Pixel], &[[usize; 2]], &mut [Pixel]),
    ) {
        let [height, width] = self.window;
        let columns: Vec<_> = (0..width).map(|v| self.inside(1, v)).collect();
        let lines: Vec<_> = (0..height).map(|u| self.inside(0, u)).collect();
        let mut taps = Vec::with_capacity(height * width);
        // Where the set of taps may change.
        let mut edges: Vec<usize> = columns.iter().flat_map(|(inside, _)| [inside.start, inside.end]).collect();
        edges.extend([0, self.out[1]]);
        edges.sort_unstable();
        edges.dedup();
        for (y, out) in rows.zip(out.chunks_exact_mut(self.out[1])) {
            for edge in edges.windows(2) {
                taps.clear();
                for (u, (inside, first)) in lines.iter().enumerate().filter(|(_, (inside, _))| inside.contains(&y)) {
                    let row = (first + (y - inside.start) * self.geometry.strides[0]) * self.image[1];
                    for (v, (inside, first)) in
                        columns.iter().enumerate().filter(|(_, (inside, _))| inside.contains(&edge[0]))
                    {
                        let column = first + (edge[0] - inside.start) * self.geometry.strides[1];
                        taps.push([row + column, u * width + v]);
                    }
                }
                work(plane, &taps, &mut out[edge[0]..edge[1]]);
            }
        }
    }
}
