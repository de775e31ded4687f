//! Images in blocks of sixteen channels, and what is computed of the windows that slide over them.
//!
//! A blocked image has for each sixteen channels all places, row by row, and for each place the sixteen numbers side by
//! side. A window's place is then one vector wherever it lies: no stride, border or width of an image leaves lanes unused.
//! Behind the last channel of an image the lanes hold anything.

use crate::packed::{LANES, Line};

/// Sixteen channels of one place.
pub type Pixel = [f32; LANES];

/// Products of filters with what adjacent windows see: one sum for each filter and window, in ascending order of starts
/// and channels.
///
/// The results are rows of pixels, one row for each sixteen filters.
#[derive(Clone, Copy, Debug)]
pub struct WindowProduct<'a> {
    /// Holds the pixels.
    pub x: &'a [Pixel],
    /// For each block of channels and tap, where the pixel of the first window is; those of the others follow.
    pub starts: &'a [usize],
    /// How many of the starts, the last ones, have only `lanes` channels.
    pub short: usize,
    /// At most sixteen.
    pub lanes: usize,
    /// For each [`panel_width`](crate::Kernels::panel_width) filters, and for the rest of them in whole lines, one row
    /// for each channel of each start.
    pub filters: &'a [Line],
    /// Rows of the filters, and those of them that come before the first start.
    pub rows: [usize; 2],
    /// What the sums start from, one line for sixteen filters; from what the results hold where there is none.
    pub bias: Option<&'a [Line]>,
}

impl WindowProduct<'_> {
    /// Panics unless everything is there for `places` windows and `blocks` blocks of filters.
    pub(crate) fn check(&self, [blocks, cols]: [usize; 2]) {
        assert!(cols.is_multiple_of(LANES), "{cols} numbers are no pixels");
        assert!(self.lanes <= LANES && self.short <= self.starts.len(), "short starts");
        let rows = (self.starts.len() - self.short) * LANES + self.short * self.lanes;
        assert!(self.rows[1] + rows <= self.rows[0], "rows of the filters");
        assert_eq!(self.filters.len(), self.rows[0] * blocks, "filters");
        assert!(self.bias.is_none_or(|bias| bias.len() == blocks), "bias");
        let is_inside = |start: &usize| start.checked_add(cols / LANES).is_some_and(|end| end <= self.x.len());
        assert!(self.starts.iter().all(is_inside), "windows outside the image");
    }
}

/// What becomes of each channel's window by itself.
#[derive(Clone, Copy, Debug)]
pub enum Windows<'a> {
    /// `bias + sum(weight * x)`: a line of weights for each tap of the whole window.
    Sum(&'a [Line], &'a Line),
    /// The largest number; NaN where one is NaN.
    Largest,
}

/// A row of windows over single channels.
#[derive(Clone, Copy, Debug)]
pub struct WindowRow<'a> {
    /// Holds the pixels.
    pub x: &'a [Pixel],
    /// For each tap where the pixel of the first window is, and the tap's number in the whole window.
    pub taps: &'a [[usize; 2]],
    /// Pixels from one window to the next.
    pub step: usize,
    /// What is computed.
    pub windows: Windows<'a>,
}

impl WindowRow<'_> {
    /// Panics unless everything is there for `places` windows.
    pub(crate) fn check(&self, places: usize) {
        if let (Windows::Sum(weights, _), Some(last)) = (self.windows, self.taps.iter().map(|tap| tap[1]).max()) {
            assert!(last < weights.len(), "weights");
        }
        let reach = places.saturating_sub(1).saturating_mul(self.step);
        let is_inside = |tap: &[usize; 2]| tap[0].checked_add(reach).is_some_and(|end| end < self.x.len());
        assert!(places == 0 || self.taps.iter().all(is_inside), "windows outside the image");
    }
}
