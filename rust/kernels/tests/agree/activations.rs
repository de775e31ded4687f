//! Functions of one number, and layer normalisation.

use kernels::{Activation, Function, Kernels, LayerNorm, Rows, RowsMut};

use crate::numbers::{assert_close, numbers};
use crate::{bits, scalar, vector_tables};

#[test]
fn activations_agree_everywhere() {
    let mut inputs: Vec<f32> = (-150_000..=150_000).map(|i| i as f32 * 1e-4).collect();
    inputs.extend([0.0, -0.0, 1e-30, -1e-30, 50.0, -50.0, 1e30, -1e30, f32::INFINITY, f32::NEG_INFINITY, f32::NAN]);
    for (name, activation) in Activation::NAMES.iter().copied() {
        let mut expected = inputs.clone();
        scalar().activate(activation, &mut expected);
        for table in vector_tables() {
            let mut got = inputs.clone();
            table.activate(activation, &mut got);
            for ((x, got), expected) in inputs.iter().zip(&got).zip(&expected) {
                // The factor of x in a GELU is right to 1e-7, the others are right themselves.
                let is_gelu = matches!(activation, Activation::Gelu | Activation::GeluTanh);
                let bound = 2e-7 * if is_gelu { x.abs().clamp(1.0, 15.0) } else { expected.abs().max(1e-30) };
                let fits = got == expected || (got.is_nan() && expected.is_nan()) || (got - expected).abs() <= bound;
                assert!(fits, "{} {name}({x}) = {got}, not {expected}", table.isa);
            }
        }
    }
}

/// What takes the place of a GELU in 8 bits: near it, exact where the GELU is `x` or 0, and the same bits everywhere.
#[test]
fn coarse_activations_are_near_and_have_the_same_bits() {
    let mut inputs: Vec<f32> = (-300_000..=300_000).map(|i| i as f32 * 3e-5).collect();
    inputs.extend([1e-30, -1e-30, 4.0, -4.0, 50.0, -50.0, 1e30, -1e30, f32::INFINITY, f32::NEG_INFINITY, f32::NAN]);
    for (activation, most) in [(Activation::Gelu, 1.9e-4), (Activation::GeluTanh, 2.2e-4)] {
        let mut expected = inputs.clone();
        scalar().activate(activation, &mut expected);
        let all: Vec<Vec<f32>> = (vector_tables().iter())
            .map(|table| {
                let mut got = inputs.clone();
                table.activate(activation.coarse(), &mut got);
                got
            })
            .collect();
        for (table, got) in vector_tables().iter().zip(&all) {
            assert_eq!(bits(got), bits(&all[0]), "{} {activation:?}: the vector tables differ", table.isa);
        }
        for ((x, got), expected) in inputs.iter().zip(&all[0]).zip(&expected) {
            let fits = match *x {
                x if x.is_nan() => got.is_nan(),
                x if x >= 4.0 => *got == x,
                x if x <= -4.0 => *got == 0.0,
                _ => (got - expected).abs() <= most,
            };
            assert!(fits, "coarse {activation:?}({x}) = {got}, not {expected}");
        }
    }
    assert_eq!(Activation::Silu.coarse(), Activation::Silu);
}

#[test]
fn layer_normalisation_agrees_over_ragged_sizes() {
    let tables = vector_tables();
    for cols in (1..=33).chain([48, 63, 384, 1000]) {
        let (rows, stride) = (5, cols + 3);
        let x: Vec<f32> = numbers(rows * stride, 1).iter().map(|x| 3.0 + 2.0 * x).collect();
        let (scale, bias) = (numbers(cols, 2), numbers(cols, 3));
        for affine in [false, true] {
            let task = LayerNorm {
                x: Rows::new(&x, rows, cols, stride).unwrap(),
                scale: affine.then_some(&scale[..]),
                bias: affine.then_some(&bias[..]),
                epsilon: 1e-5,
            };
            let run = |table: &Kernels| {
                let mut out = vec![0.0; rows * cols];
                table.layer_norm(&task, RowsMut::new(&mut out, rows, cols, cols).unwrap());
                out
            };
            let (expected, all) = (run(&scalar()), tables.iter().map(run).collect::<Vec<_>>());
            for (table, got) in tables.iter().zip(&all) {
                let what = format!("{} {cols} columns", table.isa);
                assert_close(got, &expected, 4e-6, &what);
                assert_eq!(bits(got), bits(&all[0]), "{what}: the vector tables differ");
            }
        }
    }
}

#[test]
fn functions_agree_bit_for_bit() {
    let mut inputs: Vec<f32> = (0..=u32::MAX).step_by(65_521).map(f32::from_bits).collect();
    inputs.extend([
        0.0,
        -0.0,
        1.0,
        f32::INFINITY,
        f32::NEG_INFINITY,
        f32::NAN,
        88.7,
        88.8,
        -103.9,
        -104.1,
        8192.0,
        8193.0,
    ]);
    for function in Function::ALL {
        let run = |table: &Kernels| {
            let mut data = inputs.clone();
            table.evaluate(*function, &mut data);
            data
        };
        let (expected, all) = (run(&scalar()), vector_tables().iter().map(run).collect::<Vec<_>>());
        for (index, x) in inputs.iter().enumerate() {
            for got in all.iter().map(|all| all[index]) {
                let same = got.to_bits() == all[0][index].to_bits() || got.is_nan() && all[0][index].is_nan();
                assert!(same, "{function:?}({x}): the vector tables differ");
                let want = expected[index];
                let special = got == want || got.is_nan() && want.is_nan();
                let finite = got.is_finite() && want.is_finite() && (got - want).abs() <= 3e-7 * want.abs() + 3e-45;
                assert!(special || finite, "{function:?}({x}) = {got}, not {want}");
            }
        }
    }
}

#[test]
fn a_result_of_zero_has_the_sign_of_the_scalar_table() {
    let inputs = [0.0, -0.0, 0.25, -0.25, 0.75, -0.75, 1e-45, -1e-45];
    let signs = |apply: &dyn Fn(&mut [f32])| {
        let mut data = inputs;
        apply(&mut data);
        data.map(|x| (x == 0.0).then_some(x.is_sign_negative()))
    };
    for table in vector_tables() {
        for function in Function::ALL {
            let run = |table: &Kernels| signs(&|data| table.evaluate(*function, data));
            assert_eq!(run(&table), run(&scalar()), "{function:?}");
        }
        let run = |table: &Kernels| signs(&|data| table.activate(Activation::Tanh, data));
        assert_eq!(run(&table), run(&scalar()), "tanh");
    }
}
