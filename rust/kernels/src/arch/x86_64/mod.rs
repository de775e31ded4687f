//! The lanes and the tables of x86-64.

pub mod avx2;
pub mod avx512;

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
    ($simd:ident, $rows:ident, $vectors:literal, $a:ident, $b:ident, $to:ident; $($n:literal)*) => {
        match $rows {
            $($n => tile::<_, $n, $vectors>($simd, $a, $b, $to),)*
            _ => unreachable!("a tile of {} rows", $rows),
        }
    };
}

/// The functions of a table: each one enters the code compiled for the instruction set.
macro_rules! table_entries {
    ($simd:ident, $features:literal) => {
        fn matmul(task: &Matmul<'_>, scratch: &mut Scratch, out: RowsMut<'_>) {
            #[target_feature(enable = $features)]
            fn inner(task: &Matmul<'_>, scratch: &mut Scratch, out: RowsMut<'_>) {
                generic::matmul::matmul($simd(()), task, scratch, out);
            }
            // SAFETY: private, and reached only through a table that `kernels` made after detecting the features.
            unsafe { inner(task, scratch, out) }
        }

        fn attention(task: &Attention<'_>, scratch: &mut Scratch, out: RowsMut<'_>) {
            #[target_feature(enable = $features)]
            fn inner(task: &Attention<'_>, scratch: &mut Scratch, out: RowsMut<'_>) {
                generic::attention::attention($simd(()), task, scratch, out);
            }
            // SAFETY: private, and reached only through a table that `kernels` made after detecting the features.
            unsafe { inner(task, scratch, out) }
        }

        fn layer_norm(task: &LayerNorm<'_>, out: RowsMut<'_>) {
            #[target_feature(enable = $features)]
            fn inner(task: &LayerNorm<'_>, out: RowsMut<'_>) {
                generic::normalization::layer_norm($simd(()), task, out);
            }
            // SAFETY: private, and reached only through a table that `kernels` made after detecting the features.
            unsafe { inner(task, out) }
        }

        fn activate(activation: Activation, data: &mut [f32]) {
            #[target_feature(enable = $features)]
            fn inner(activation: Activation, data: &mut [f32]) {
                generic::activation::activate($simd(()), activation, data);
            }
            // SAFETY: private, and reached only through a table that `kernels` made after detecting the features.
            unsafe { inner(activation, data) }
        }
    };
}

pub(super) use {operator, table_entries, tile_of_rows};
