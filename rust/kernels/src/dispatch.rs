//! Which instruction sets there are, and the one choice of them a process makes.

use std::fmt;
use std::sync::OnceLock;

use crate::arch;
use crate::digits::DigitKernels;
use crate::knobs;
use crate::task::{Attention, LayerNorm, Matmul, MeanPool, Reduction, RmsNorm, Scratch, WeightedSum};
use crate::windows::{Pixel, WindowProduct, WindowRow};
use crate::{Activation, Function, Pointwise, Rows, RowsMut};

/// An instruction set with a table of kernels, plainest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Isa {
    /// Plain loops: what every other table is tested against, and what runs on other CPUs.
    Scalar,
    /// NEON, which every 64-bit ARM has.
    Neon,
    /// AVX2 with fused multiply-add.
    Avx2,
    /// AVX-512 F.
    Avx512,
    /// AMX with products of bfloat16 and of bytes, beside AVX-512 F and BW.
    Amx,
}

impl Isa {
    /// All of them, plainest first.
    pub const ALL: [Isa; 5] = [Isa::Scalar, Isa::Neon, Isa::Avx2, Isa::Avx512, Isa::Amx];

    /// The name used in the environment variable, in reports and from Python.
    pub fn name(self) -> &'static str {
        match self {
            Isa::Scalar => "scalar",
            Isa::Neon => "neon",
            Isa::Avx2 => "avx2",
            Isa::Avx512 => "avx512",
            Isa::Amx => "amx",
        }
    }

    /// Looks up a name that [`Isa::name`] gives.
    pub fn from_name(name: &str) -> Option<Isa> {
        Self::ALL.into_iter().find(|isa| isa.name() == name)
    }

    /// Those this CPU can run, plainest first.
    pub fn available() -> Vec<Isa> {
        Self::ALL.into_iter().filter(|isa| Kernels::for_isa(*isa).is_some()).collect()
    }
}

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One instruction set's kernels. Holding a table is the proof that this CPU can run it.
#[derive(Clone, Copy, Debug)]
pub struct Kernels {
    /// The instruction set.
    pub isa: Isa,
    /// Columns per panel of the packed matrices that this table multiplies by.
    pub panel_width: usize,
    /// Rows of a register tile: callers that share rows out among threads do it in multiples of this.
    pub tile_rows: usize,
    /// From as many rows for each thread on, products are better shared out by rows than by panels: what a kernel does with
    /// left-hand rows before it multiplies by them is much of the work.
    pub rows_first: usize,
    /// How right-hand sides are written in digits, where this table multiplies by them.
    pub(crate) digits: Option<DigitKernels>,
    pub(crate) matmul: fn(&Matmul<'_>, &mut Scratch, RowsMut<'_>),
    pub(crate) attention: fn(&Attention<'_>, &mut Scratch, RowsMut<'_>),
    pub(crate) attention_of_bfloat16: fn(&Attention<'_>, &mut Scratch, RowsMut<'_>),
    pub(crate) layer_norm: fn(&LayerNorm<'_>, RowsMut<'_>),
    pub(crate) rms_norm: fn(&RmsNorm<'_>, RowsMut<'_>),
    pub(crate) softmax: fn(Rows<'_>, RowsMut<'_>),
    pub(crate) activate: fn(Activation, &mut [f32]),
    pub(crate) evaluate: fn(Function, &mut [f32]),
    pub(crate) reduce: fn(Reduction, &[f32]) -> f32,
    pub(crate) reduce_columns: fn(Reduction, Rows<'_>, &mut [f32]),
    pub(crate) weighted_sum: fn(&WeightedSum<'_>, &mut [f32]),
    pub(crate) mean_pool: fn(&MeanPool<'_>, &mut [f32]),
    pub(crate) normalize_rows: fn(f32, RowsMut<'_>),
    pub(crate) window_product: fn(&WindowProduct<'_>, RowsMut<'_>),
    pub(crate) window_row: fn(&WindowRow<'_>, &mut [Pixel]),
    pub(crate) pointwise: fn(&[Pointwise], &mut [f32]),
    pub(crate) accumulate: fn(&[f32], &mut [f32]),
    pub(crate) scale: fn(&Pixel, &mut [Pixel]),
    pub(crate) to_pixels: fn(Rows<'_>, &mut [Pixel]),
    pub(crate) from_pixels: fn(&[Pixel], RowsMut<'_>),
    pub(crate) multiply_adds: fn(usize) -> (usize, f32),
}

impl Kernels {
    /// The table of one instruction set, `None` where this CPU lacks it.
    pub fn for_isa(isa: Isa) -> Option<Kernels> {
        match isa {
            Isa::Scalar => Some(arch::scalar::kernels()),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => arch::x86_64::avx2::kernels(),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => arch::x86_64::avx512::kernels(),
            #[cfg(target_arch = "x86_64")]
            Isa::Amx => arch::x86_64::amx::kernels(),
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => arch::aarch64::neon::kernels(),
            #[allow(unreachable_patterns)]
            _ => None,
        }
    }

    /// The table this process uses: chosen once, the best there is or the one the environment names.
    ///
    /// # Errors
    ///
    /// The environment names an instruction set that does not exist or that this CPU lacks.
    pub fn chosen() -> Result<Kernels, String> {
        static CHOSEN: OnceLock<Result<Kernels, String>> = OnceLock::new();
        CHOSEN.get_or_init(|| choose(knobs::read(knobs::ISA).as_deref())).clone()
    }

    /// Computes `task` into `out`.
    #[inline]
    pub fn matmul(&self, task: &Matmul<'_>, scratch: &mut Scratch, out: RowsMut<'_>) {
        task.check([out.count(), out.cols()], self.panel_width);
        (self.matmul)(task, scratch, out);
    }

    /// Computes `task` into `out`.
    #[inline]
    pub fn attention(&self, task: &Attention<'_>, scratch: &mut Scratch, out: RowsMut<'_>) {
        task.check([out.count(), out.cols()]);
        (if task.bfloat16 { self.attention_of_bfloat16 } else { self.attention })(task, scratch, out);
    }

    /// Computes `task` into `out`.
    #[inline]
    pub fn layer_norm(&self, task: &LayerNorm<'_>, out: RowsMut<'_>) {
        task.check([out.count(), out.cols()]);
        (self.layer_norm)(task, out);
    }

    /// Computes `task` into `out`.
    #[inline]
    pub fn rms_norm(&self, task: &RmsNorm<'_>, out: RowsMut<'_>) {
        task.check([out.count(), out.cols()]);
        (self.rms_norm)(task, out);
    }

    /// `exp(x - max) / sum(exp(x - max))` of each row; a row of nothing but minus infinity, or with a NaN, gives NaN.
    #[inline]
    pub fn softmax(&self, x: Rows<'_>, out: RowsMut<'_>) {
        assert_eq!([out.count(), out.cols()], [x.count(), x.cols()], "output");
        (self.softmax)(x, out);
    }

    /// Applies an activation to every element.
    #[inline]
    pub fn activate(&self, activation: Activation, data: &mut [f32]) {
        (self.activate)(activation, data);
    }

    /// Applies a function to every element, each result within 2 ULP.
    #[inline]
    pub fn evaluate(&self, function: Function, data: &mut [f32]) {
        (self.evaluate)(function, data);
    }

    /// Reduces a slice to one number: sixteen lanes, which are joined in pairs eight, four, two and one apart.
    #[inline]
    pub fn reduce(&self, reduction: Reduction, data: &[f32]) -> f32 {
        (self.reduce)(reduction, data)
    }

    /// Reduces each column to one number, rows in ascending order.
    #[inline]
    pub fn reduce_columns(&self, reduction: Reduction, x: Rows<'_>, out: &mut [f32]) {
        assert_eq!(out.len(), x.cols(), "output");
        (self.reduce_columns)(reduction, x, out);
    }

    /// Computes `task` into `out`, one fused multiply-add for each summand.
    #[inline]
    pub fn weighted_sum(&self, task: &WeightedSum<'_>, out: &mut [f32]) {
        task.check(out.len());
        (self.weighted_sum)(task, out);
    }

    /// Computes `task` into `out`, one number per column.
    #[inline]
    pub fn mean_pool(&self, task: &MeanPool<'_>, out: &mut [f32]) {
        task.check(out.len());
        (self.mean_pool)(task, out);
    }

    /// Divides each row by its Euclidean length, or by `least` where that is larger.
    #[inline]
    pub fn normalize_rows(&self, least: f32, rows: RowsMut<'_>) {
        (self.normalize_rows)(least, rows);
    }

    /// Computes `task` into `out`: a row for each sixteen filters, sixteen numbers for each window.
    #[inline]
    pub fn window_product(&self, task: &WindowProduct<'_>, out: RowsMut<'_>) {
        task.check([out.count(), out.cols()]);
        (self.window_product)(task, out);
    }

    /// Computes `task` into `out`, each channel by itself.
    #[inline]
    pub fn window_row(&self, task: &WindowRow<'_>, out: &mut [Pixel]) {
        task.check(out.len());
        (self.window_row)(task, out);
    }

    /// Applies functions to every element, the first one first.
    #[inline]
    pub fn pointwise(&self, steps: &[Pointwise], data: &mut [f32]) {
        (self.pointwise)(steps, data);
    }

    /// Adds `summand` to `data`, element by element.
    #[inline]
    pub fn accumulate(&self, summand: &[f32], data: &mut [f32]) {
        assert_eq!(summand.len(), data.len(), "summand");
        (self.accumulate)(summand, data);
    }

    /// Multiplies each channel of some pixels by its factor.
    #[inline]
    pub fn scale(&self, factors: &Pixel, data: &mut [Pixel]) {
        (self.scale)(factors, data);
    }

    /// Up to sixteen channels, a row each, as pixels; zeros for channels that there are not.
    #[inline]
    pub fn to_pixels(&self, channels: Rows<'_>, out: &mut [Pixel]) {
        assert!(channels.count() <= 16 && channels.cols() == out.len(), "channels of {} pixels", out.len());
        (self.to_pixels)(channels, out);
    }

    /// The first channels of pixels, a row each.
    #[inline]
    pub fn from_pixels(&self, pixels: &[Pixel], out: RowsMut<'_>) {
        assert!(out.count() <= 16 && out.cols() == pixels.len(), "channels of {} pixels", pixels.len());
        (self.from_pixels)(pixels, out);
    }

    /// Does independent multiply-adds in registers, a few a round: their number, sixteen lanes each, and something that
    /// depends on all of them. How fast this goes is the roof of every product.
    pub fn multiply_adds(&self, rounds: usize) -> (usize, f32) {
        (self.multiply_adds)(rounds)
    }
}

fn choose(forced: Option<&str>) -> Result<Kernels, String> {
    let available = Isa::available();
    let isa = match forced {
        None => available.last().copied(),
        Some(name) => Isa::from_name(name),
    };
    isa.and_then(Kernels::for_isa).ok_or_else(|| {
        let names: Vec<_> = available.iter().map(|isa| isa.name()).collect();
        format!(
            "{}={}: no such instruction set on this CPU; available: {}",
            knobs::ISA,
            forced.unwrap_or_default(),
            names.join(", ")
        )
    })
}

#[cfg(test)]
mod tests {
    use super::{Isa, choose};

    #[test]
    fn the_environment_forces_an_instruction_set() {
        assert_eq!(choose(Some("scalar")).unwrap().isa, Isa::Scalar);
        assert_eq!(choose(None).unwrap().isa, *Isa::available().last().unwrap());
    }

    #[test]
    fn an_unknown_name_is_an_error_that_lists_the_known_ones() {
        let error = choose(Some("sse9")).unwrap_err();
        assert!(error.starts_with("WEBNN_KERNELS_ISA=sse9: "), "{error}");
        assert!(error.contains("scalar"), "{error}");
    }
}
