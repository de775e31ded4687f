//! Matrices in few bits: the products are those with the floats they stand for, bit for bit.

#[allow(dead_code)] // what the other tests need of it
mod numbers;

use kernels::{
    Activation, Isa, Kernels, Matmul, PackedMatrix, Rows, RowsMut, Scratch, Steps, StoredKernels, StoredMatmul,
    StoredMatrix, Weights, float16,
};
use numbers::numbers;

/// Bytes that are the same on every run.
fn bytes(count: usize, seed: u64) -> Vec<u8> {
    numbers(count, seed).into_iter().map(|x| ((x + 1.0) * 128.0) as u8).collect()
}

fn signed(count: usize, seed: u64) -> Vec<i8> {
    bytes(count, seed).into_iter().map(|byte| byte as i8).collect()
}

fn bits(x: &[f32]) -> Vec<u32> {
    x.iter().map(|x| x.to_bits()).collect()
}

/// Numbers of one kind as they are kept, and as floats.
enum Kept {
    Floats(Vec<u16>),
    Signed(Vec<i8>, bool),
    Unsigned(Vec<u8>, bool),
}

impl Kept {
    fn all(count: usize, seed: u64) -> [Kept; 5] {
        // Finite float16, subnormals among them.
        let half = |(low, high): (u8, u8)| u16::from_be_bytes([high, low]) & 0xBFFF;
        [
            Kept::Floats(bytes(count, seed).into_iter().zip(bytes(count, seed + 1)).map(half).collect()),
            Kept::Signed(signed(count, seed), false),
            Kept::Unsigned(bytes(count, seed), false),
            Kept::Signed(signed(count, seed).into_iter().map(|x| x >> 4).collect(), true),
            Kept::Unsigned(bytes(count, seed).into_iter().map(|x| x >> 4).collect(), true),
        ]
    }

    fn weights(&self) -> Weights<'_> {
        match self {
            Kept::Floats(data) => Weights::Float16(data),
            Kept::Signed(data, false) => Weights::Int8(data),
            Kept::Signed(data, true) => Weights::Int4(data),
            Kept::Unsigned(data, false) => Weights::Uint8(data),
            Kept::Unsigned(data, true) => Weights::Uint4(data),
        }
    }

    fn floats(&self) -> Vec<f32> {
        match self {
            Kept::Floats(data) => data.iter().map(|bits| float16::widen(*bits)).collect(),
            Kept::Signed(data, _) => data.iter().map(|x| f32::from(*x)).collect(),
            Kept::Unsigned(data, _) => data.iter().map(|x| f32::from(*x)).collect(),
        }
    }
}

#[test]
fn products_have_the_bits_of_those_with_floats() {
    let mut number = 0;
    for (m, k, n) in [
        (1, 0, 3),
        (1, 1, 1),
        (2, 128, 16),
        (3, 130, 17),
        (14, 256, 33),
        (30, 384, 70),
        (13, 96, 32),
        (27, 257, 31),
        (5, 160, 100),
    ] {
        for kept in Kept::all(k * n, 3) {
            number += 1;
            let transposed = number % 2 == 0;
            let strides = if transposed { [1, k] } else { [n, 1] };
            let block = if k > 0 && k % 32 == 0 && number % 3 > 0 { 32 } else { k.max(1) };
            let is_float = matches!(kept, Kept::Floats(_));
            let scales: Vec<f32> = numbers(k / block * n, 5).into_iter().map(|x| x / 100.0).collect();
            let zeros: Vec<f32> = signed(scales.len(), 6).into_iter().map(f32::from).collect();
            let zeros = (number % 4 > 0).then_some(&zeros[..]);
            let mut floats = kept.floats();
            if !is_float {
                for row in 0..k {
                    for col in 0..n {
                        let at = row / block * n + col;
                        let weight = &mut floats[row * strides[0] + col * strides[1]];
                        *weight = (*weight - zeros.map_or(0.0, |zeros| zeros[at])) * scales[at];
                    }
                }
            }
            let (x, bias, residual) = (numbers(m * k, 1), numbers(n, 2), numbers(m * n, 4));
            for table in Isa::available().into_iter().filter_map(Kernels::for_isa) {
                let task = |b| Matmul {
                    bias: Some(&bias),
                    // Without one, whole panels go straight to the result.
                    activation: if number % 3 == 0 { Activation::Gelu } else { Activation::Identity },
                    residual: Some(Rows::new(&residual, m, n, n).unwrap()),
                    ..Matmul::new(Rows::new(&x, m, k, k).unwrap(), b)
                };
                let packed = PackedMatrix::new(&table, &floats, [k, n], strides);
                let mut want = vec![f32::MAX; m * n];
                table.matmul(
                    &task(packed.panels()),
                    &mut Scratch::default(),
                    RowsMut::new(&mut want, m, n, n).unwrap(),
                );

                let steps = (!is_float).then_some(Steps { scales: &scales, zeros, block });
                let stored = StoredMatrix::new(&table, kept.weights(), [k, n], strides, steps);
                let mut got = vec![f32::MAX; m * n];
                let mut scratch = Scratch::default();
                let all = StoredMatmul::new(task, stored.range(0, stored.count()));
                StoredKernels::of(&table).matmul(&all, &mut scratch, RowsMut::new(&mut got, m, n, n).unwrap());
                assert_eq!(bits(&got), bits(&want), "{} [{m}, {k}] x [{k}, {n}] {:?}", table.isa, kept.weights());

                // The last panel alone.
                let first = (stored.count() - 1) * table.panel_width;
                let cut = |b| Matmul {
                    bias: Some(&bias[first..]),
                    residual: task(b).residual.map(|rows| rows.columns(first, n - first)),
                    ..task(b)
                };
                let last = StoredMatmul::new(cut, stored.range(stored.count() - 1, stored.count()));
                let mut got = vec![f32::MAX; m * (n - first)];
                let view = RowsMut::new(&mut got, m, n - first, n - first).unwrap();
                StoredKernels::of(&table).matmul(&last, &mut scratch, view);
                for row in 0..m {
                    let (got, want) = (&got[row * (n - first)..][..n - first], &want[row * n + first..][..n - first]);
                    assert_eq!(bits(got), bits(want), "{}: row {row}", table.isa);
                }
            }
        }
    }
}
