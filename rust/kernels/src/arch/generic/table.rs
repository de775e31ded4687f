//! What every instruction set writes out in the same way.

/// Implements an operator of `std::ops` for a vector by an expression over its field.
macro_rules! operator {
    ($vector:ident, $trait:ident, $method:ident, |$x:ident, $y:ident| $body:expr) => {
        impl std::ops::$trait for $vector {
            type Output = $vector;
            #[inline(always)]
            fn $method(self, other: $vector) -> $vector {
                let ($x, $y) = (self.0, other.0);
                $vector($body)
            }
        }
    };
}

/// Calls the register tile compiled for a number of rows known only at run time.
macro_rules! tile_of_rows {
    ($simd:ident, $rows:ident, $vectors:literal, $a:ident, $b:ident, $to:ident, $start:ident; $($n:literal)*) => {
        match $rows {
            $($n => tile::<_, $n, $vectors>($simd, $a, $b, $to, $start),)*
            _ => unreachable!("a tile of {} rows", $rows),
        }
    };
}

/// The same for the tile of a product of windows.
macro_rules! window_tile_of_rows {
    ($simd:ident, $rows:ident, $vectors:literal, $task:ident, $filters:ident, $place:ident, $out:ident; $($n:literal)*) => {
        match $rows {
            $($n => windows::tile::<_, $n, $vectors>($simd, $task, $filters, $place, $out),)*
            _ => unreachable!("a tile of {} windows", $rows),
        }
    };
}

/// Makes the table of an instruction set: each entry is compiled for the set, and calls the algorithm with its evidence.
macro_rules! table {
    ($simd:ident, $isa:expr, $features:literal) => {
        table!(@entries $simd, $isa, $features;
            matmul: matmul::matmul(task: &Matmul<'_>, scratch: &mut Scratch, out: RowsMut<'_>);
            attention: attention::attention(task: &Attention<'_>, scratch: &mut Scratch, out: RowsMut<'_>);
            attention_of_bfloat16: attention::attention_of_bfloat16(
                task: &Attention<'_>, scratch: &mut Scratch, out: RowsMut<'_>
            );
            layer_norm: normalization::layer_norm(task: &LayerNorm<'_>, out: RowsMut<'_>);
            rms_norm: normalization::rms_norm(task: &RmsNorm<'_>, out: RowsMut<'_>);
            softmax: softmax::softmax(x: Rows<'_>, out: RowsMut<'_>);
            activate: activation::activate(activation: Activation, data: &mut [f32]);
            evaluate: functions::evaluate(function: Function, data: &mut [f32]);
            reduce: reduction::reduce(reduction: Reduction, data: &[f32]) -> f32;
            reduce_columns: reduction::reduce_columns(reduction: Reduction, x: Rows<'_>, out: &mut [f32]);
            weighted_sum: reduction::weighted_sum(task: &WeightedSum<'_>, out: &mut [f32]);
            mean_pool: reduction::mean_pool(task: &MeanPool<'_>, out: &mut [f32]);
            normalize_rows: reduction::normalize_rows(least: f32, rows: RowsMut<'_>);
            window_product: windows::window_product(task: &WindowProduct<'_>, out: RowsMut<'_>);
            window_row: windows::window_row(task: &WindowRow<'_>, out: &mut [Pixel]);
            pointwise: windows::pointwise(steps: &[Pointwise], data: &mut [f32]);
            accumulate: windows::accumulate(summand: &[f32], data: &mut [f32]);
            scale: windows::scale(factors: &Pixel, data: &mut [Pixel]);
            to_pixels: windows::to_pixels(channels: Rows<'_>, out: &mut [Pixel]);
            from_pixels: windows::from_pixels(pixels: &[Pixel], out: RowsMut<'_>);
            multiply_adds: probe::multiply_adds(rounds: usize) -> (usize, f32);
        );
    };
    (@entries $simd:ident, $isa:expr, $features:literal; $(
        $name:ident: $module:ident::$function:ident($($argument:ident: $type:ty),*) $(-> $result:ty)?;
    )*) => {
        mod entries {
            use super::$simd;
            use crate::arch::generic::{
                activation, attention, functions, matmul, normalization, probe, reduction, softmax, windows,
            };
            use crate::pointwise::Pointwise;
            use crate::task::{Attention, LayerNorm, Matmul, MeanPool, Reduction, RmsNorm, Scratch, WeightedSum};
            use crate::windows::{Pixel, WindowProduct, WindowRow};
            use crate::{Activation, Function, Rows, RowsMut};

            $(
                pub(super) fn $name($($argument: $type),*) $(-> $result)? {
                    #[target_feature(enable = $features)]
                    fn inner($($argument: $type),*) $(-> $result)? {
                        $module::$function($simd(()), $($argument),*)
                    }
                    // SAFETY: reached only through the table, which `kernels` hands out after detecting the features.
                    unsafe { inner($($argument),*) }
                }
            )*
        }

        pub(in crate::arch) const TABLE: Kernels = Kernels {
            isa: $isa,
            panel_width: $simd::TILE_VECTORS * LANES,
            tile_rows: $simd::TILE_ROWS,
            rows_first: usize::MAX,
            digits: None,
            $($name: entries::$name,)*
        };
    };
}

pub(in crate::arch) use {operator, table, tile_of_rows, window_tile_of_rows};
