//! Windows that slide over images: their options, and images laid out so that what a place of the window meets in one
//! row of results is adjacent.

use std::ops::Range;

use super::float::Float;
use super::{Context, Request};
use crate::plan::{BuildError, DimId, RunError};

/// Numbers that are worth a thread of their own.
const PIECE: usize = 1 << 14;

/// The options that convolutions and pools share.
pub(super) struct Options {
    /// Beginning and end of the height, then of the width.
    padding: Vec<DimId>,
    strides: Vec<DimId>,
    dilations: Vec<DimId>,
    /// What they are in every run, if no name changes them.
    pub(super) fixed: Option<Geometry>,
}

/// The options in one run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Geometry {
    /// Rows above the image and columns before it.
    pub(super) begin: [usize; 2],
    /// Rows below the image and columns behind it.
    pub(super) end: [usize; 2],
    pub(super) strides: [usize; 2],
    pub(super) dilations: [usize; 2],
}

impl Options {
    pub(super) fn new(request: &Request<'_>) -> Result<Self, BuildError> {
        let list = |name: &str, count: usize| {
            let dims = request.attributes.dims(name)?;
            if dims.len() == count {
                return Ok(dims.to_vec());
            }
            Err(BuildError::Attribute(format!(
                "{}: '{name}' of {} dimensions; must be {count}",
                request.kind,
                dims.len()
            )))
        };
        let (padding, strides, dilations) = (list("padding", 4)?, list("strides", 2)?, list("dilations", 2)?);
        let known = |ids: &[DimId]| -> Option<Vec<usize>> {
            ids.iter().map(|id| usize::try_from(request.fixed(*id)?).ok()).collect()
        };
        let fixed = match (known(&padding), known(&strides), known(&dilations)) {
            (Some(padding), Some(strides), Some(dilations)) => Geometry::new(&padding, &strides, &dilations).ok(),
            _ => None,
        };
        Ok(Self { padding, strides, dilations, fixed })
    }

    pub(super) fn geometry(&self, cx: &Context<'_>) -> Result<Geometry, RunError> {
        if let Some(fixed) = self.fixed {
            return Ok(fixed);
        }
        Geometry::new(&cx.sizes(&self.padding)?, &cx.sizes(&self.strides)?, &cx.sizes(&self.dilations)?)
    }
}

impl Geometry {
    /// From four, two and two numbers.
    fn new(padding: &[usize], strides: &[usize], dilations: &[usize]) -> Result<Self, RunError> {
        let has_zero = strides.contains(&0) || dilations.contains(&0);
        match (padding, strides, dilations) {
            (&[top, bottom, left, right], &[sy, sx], &[dy, dx]) if !has_zero => {
                Ok(Self { begin: [top, left], end: [bottom, right], strides: [sy, sx], dilations: [dy, dx] })
            }
            _ => Err(RunError::Operand("a stride or dilation of 0".into())),
        }
    }
}

impl Geometry {
    pub(super) fn has_border(&self) -> bool {
        self.begin != [0, 0] || self.end != [0, 0]
    }

    /// How many windows there are along each axis of an image; `None` where the window is larger.
    pub(super) fn places(&self, image: [usize; 2], window: [usize; 2]) -> Option<[usize; 2]> {
        let count = |axis: usize| {
            let reach = window[axis].checked_sub(1)?.checked_mul(self.dilations[axis])?.checked_add(1)?;
            let free = (image[axis] + self.begin[axis] + self.end[axis]).checked_sub(reach)?;
            Some(free / self.strides[axis] + 1)
        };
        Some([count(0)?, count(1)?])
    }
}

/// Positions of the axes n, c, h and w in a layout of an image.
pub(super) fn image_axes(request: &Request<'_>, name: &str) -> Result<[usize; 4], BuildError> {
    axes(request, name, "nchw")
}

/// Positions of some axes, given by letters, in the layout that an attribute names.
pub(super) fn axes(request: &Request<'_>, name: &str, letters: &str) -> Result<[usize; 4], BuildError> {
    let layout = request.attributes.text(name)?;
    let mut found = [0; 4];
    for (place, letter) in found.iter_mut().zip(letters.chars()) {
        let axis = layout.find(letter).filter(|_| layout.len() == 4);
        *place = axis.ok_or_else(|| request.unsupported(format!("layout {layout}")))?;
    }
    Ok(found)
}

/// Where the planes of an image are, whatever its layout.
#[derive(Clone, Copy, Debug)]
pub(super) struct Planes {
    /// Images, channels, height and width.
    pub(super) sizes: [usize; 4],
    strides: [usize; 4],
}

impl Planes {
    /// `axes` are the positions of n, c, h and w.
    pub(super) fn new(shape: &[usize], axes: [usize; 4]) -> Result<Self, RunError> {
        if shape.len() != 4 {
            return Err(RunError::Operand(format!("{shape:?} is no image")));
        }
        let stride = |axis: usize| shape[axis + 1..].iter().product();
        Ok(Self { sizes: axes.map(|axis| shape[axis]), strides: axes.map(stride) })
    }

    /// The elements of an image from a plane's first one on; none where planes have none.
    pub(super) fn plane<'x, T>(&self, x: &'x [T], image: usize, channel: usize) -> &'x [T] {
        x.get(image * self.strides[0] + channel * self.strides[1]..).unwrap_or_default()
    }

    /// From one element of a row to the next.
    pub(super) fn step(&self) -> usize {
        self.strides[3]
    }

    /// Elements of a plane.
    pub(super) fn area(&self) -> usize {
        self.sizes[2] * self.sizes[3]
    }

    /// Writes plain planes of float32 in this layout.
    pub(super) fn store<T: Float>(&self, from: &[f32], to: &mut [T], cx: &Context<'_>) {
        let [_, channels, height, width] = self.sizes;
        if self.is_plain() {
            let pieces = to.chunks_mut(PIECE).zip(from.chunks(PIECE)).collect();
            cx.for_each(pieces, |(to, from): (&mut [T], &[f32])| {
                to.iter_mut().zip(from).for_each(|(to, from)| *to = T::from_single(*from));
            });
            return;
        }
        cx.for_each(to.chunks_mut((width * channels).max(1)).enumerate().collect(), |(row, to): (usize, &mut [T])| {
            for (place, to) in to.iter_mut().enumerate() {
                let plane = row / height * channels + place % channels;
                *to = T::from_single(from[(plane * height + row % height) * width + place / channels]);
            }
        });
    }

    /// Whether planes are adjacent rows of adjacent elements.
    pub(super) fn is_plain(&self) -> bool {
        let [_, _, height, width] = self.sizes;
        let plain = [0, height * width, width, 1];
        (1..4).all(|axis| self.sizes[axis] <= 1 || self.strides[axis] == plain[axis])
    }
}

/// A plane with its border. Each row is one part for each phase of the column stride: column `x` of the bordered plane
/// is element `x / stride` of part `x % stride`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field {
    geometry: Geometry,
    /// Height and width of the image.
    image: [usize; 2],
    rows: usize,
    /// Elements of a part of a row.
    part: usize,
}

impl Field {
    /// What windows at `out` places along each axis see.
    pub(super) fn new(geometry: Geometry, image: [usize; 2], window: [usize; 2], out: [usize; 2]) -> Self {
        let reach = |axis: usize| match (window[axis], out[axis]) {
            (0, _) | (_, 0) => 0,
            (window, out) => (out - 1) * geometry.strides[axis] + (window - 1) * geometry.dilations[axis] + 1,
        };
        Self { geometry, image, rows: reach(0), part: reach(1).div_ceil(geometry.strides[1]) }
    }

    /// The image itself, if it can be taken for its field.
    pub(super) fn direct(self) -> Option<Self> {
        let is_inside = self.rows <= self.image[0] && self.part <= self.image[1];
        let is_direct = self.geometry.begin == [0, 0] && self.geometry.strides[1] == 1 && is_inside;
        is_direct.then_some(Self { rows: self.image[0], part: self.image[1], ..self })
    }

    /// Elements of a row.
    fn row(&self) -> usize {
        self.part * self.geometry.strides[1]
    }

    /// Elements of the field of one plane.
    pub(super) fn area(&self) -> usize {
        self.rows * self.row()
    }

    /// From the first place of a row of windows to its element that row `u` and column `v` of the window meet.
    pub(super) fn tap(&self, u: usize, v: usize) -> usize {
        let Geometry { strides, dilations, .. } = self.geometry;
        let column = v * dilations[1];
        u * dilations[0] * self.row() + column % strides[1] * self.part + column / strides[1]
    }

    /// All taps of a window, row by row.
    pub(super) fn taps(&self, window: [usize; 2]) -> Vec<usize> {
        (0..window[0]).flat_map(|u| (0..window[1]).map(move |v| self.tap(u, v))).collect()
    }

    /// Where a row of windows starts; the windows of a row are adjacent.
    pub(super) fn line(&self, y: usize) -> usize {
        y * self.geometry.strides[0] * self.row()
    }

    /// Which rows of the window of row `y` of the results lie inside the image.
    pub(super) fn inside(&self, axis: usize, place: usize, window: usize) -> Range<usize> {
        let Geometry { begin, strides, dilations, .. } = self.geometry;
        let first = place * strides[axis];
        // Inside where begin <= first + u * dilation < begin + size.
        let count = |bound: usize| bound.saturating_sub(first).div_ceil(dilations[axis]).min(window);
        let (low, high) = (count(begin[axis]), count(begin[axis] + self.image[axis]));
        low..high.max(low)
    }

    /// Writes a plane, whose elements are `step` apart, with its border.
    pub(super) fn write<T: Copy, U: Copy>(
        &self,
        (x, step): (&[T], usize),
        border: U,
        load: impl Fn(T) -> U,
        to: &mut [U],
    ) {
        let (row, stride) = (self.row(), self.geometry.strides[1]);
        let [height, width] = self.image;
        let [top, left] = self.geometry.begin;
        if row == 0 {
            return;
        }
        for (y, to) in to.chunks_exact_mut(row).enumerate() {
            if y < top || y - top >= height {
                to.fill(border);
                continue;
            }
            let from = (y - top) * width * step;
            for (phase, to) in to.chunks_exact_mut(self.part).enumerate() {
                // Elements whose column is inside the image.
                let bound = |column: usize| column.saturating_sub(phase).div_ceil(stride).min(to.len());
                let (low, high) = (bound(left), bound(left + width));
                to[..low].fill(border);
                to[high..].fill(border);
                if low < high {
                    let first = from + (low * stride + phase - left) * step;
                    let apart = stride * step;
                    let to = &mut to[low..high];
                    if apart == 1 {
                        to.iter_mut().zip(&x[first..]).for_each(|(to, x)| *to = load(*x));
                    } else {
                        to.iter_mut().zip(x[first..].iter().step_by(apart)).for_each(|(to, x)| *to = load(*x));
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Field, Geometry, Planes};

    #[test]
    fn every_place_of_every_window_is_found_in_the_field() {
        let image = [5, 7];
        let x: Vec<i32> = (1..=35).collect();
        for (begin, strides, dilations, window) in
            [([0, 0], [1, 1], [1, 1], [3, 2]), ([1, 2], [2, 3], [1, 1], [3, 3]), ([2, 1], [1, 2], [2, 3], [2, 2])]
        {
            let geometry = Geometry { begin, end: [9, 9], strides, dilations };
            let out = [3, 4];
            let field = Field::new(geometry, image, window, out);
            let mut plane = vec![-1; field.area()];
            field.write((&x, 1), 0, |x| x, &mut plane);
            for (y, x_) in (0..out[0]).flat_map(|y| (0..out[1]).map(move |x| (y, x))) {
                for (u, v) in (0..window[0]).flat_map(|u| (0..window[1]).map(move |v| (u, v))) {
                    let row = (y * strides[0] + u * dilations[0]).wrapping_sub(begin[0]);
                    let column = (x_ * strides[1] + v * dilations[1]).wrapping_sub(begin[1]);
                    let is_inside = row < image[0] && column < image[1];
                    let want = if is_inside { x[row * image[1] + column] } else { 0 };
                    assert_eq!(plane[field.line(y) + field.tap(u, v) + x_], want, "{geometry:?} {y} {x_} {u} {v}");
                    let both =
                        field.inside(0, y, window[0]).contains(&u) && field.inside(1, x_, window[1]).contains(&v);
                    assert_eq!(both, is_inside);
                }
            }
        }
    }

    #[test]
    fn planes_of_an_image_without_rows_have_nothing() {
        // Channels last: the other planes of a whole image start behind its first element.
        let planes = Planes::new(&[1, 0, 2, 3], [0, 3, 1, 2]).unwrap();
        assert!(planes.plane::<f32>(&[], 0, 2).is_empty());
    }
}
