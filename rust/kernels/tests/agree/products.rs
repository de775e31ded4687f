//! Products, and what follows them.

use kernels::{Activation, Isa, Kernels, Matmul, PackedMatrix, Rows, RowsMut, Scratch};

use crate::numbers::{assert_close, numbers};
use crate::{bits, scalar, vector_tables};

struct Product {
    m: usize,
    k: usize,
    n: usize,
    activation: Activation,
    extras: bool,
}

/// Runs a product whose every operand starts `skew` elements past an allocation, with padded row strides.
fn product(kernels: &Kernels, case: &Product, skew: usize) -> Vec<f32> {
    let &Product { m, k, n, activation, extras } = case;
    let (a_stride, out_stride) = (k + skew, n + skew);
    let a = numbers(skew + m * a_stride, 1);
    let b = numbers(skew + k * n, 2);
    let bias = numbers(skew + n, 3);
    let residual = numbers(skew + m * out_stride, 4);
    let factor = numbers(skew + m * n, 9);
    let packed = PackedMatrix::new(kernels, &b[skew..], [k, n], [n, 1]);
    let task = Matmul {
        bias: extras.then(|| &bias[skew..]),
        activation,
        factor: (extras && m % 2 == 0).then(|| Rows::new(&factor[skew..], m, n, n).unwrap()),
        residual: extras.then(|| Rows::new(&residual[skew..], m, n, out_stride).unwrap()),
        ..Matmul::new(Rows::new(&a[skew..], m, k, a_stride).unwrap(), packed.panels())
    };
    let mut out = vec![f32::MAX; skew + m * out_stride];
    let view = RowsMut::new(&mut out[skew..], m, n, out_stride).unwrap();
    kernels.matmul(&task, &mut Scratch::default(), view);
    for row in 0..m {
        for gap in &out[skew + row * out_stride + n..][..skew] {
            assert_eq!(*gap, f32::MAX, "wrote past the end of row {row}");
        }
    }
    (0..m).flat_map(|row| out[skew + row * out_stride..][..n].to_vec()).collect()
}

#[test]
fn products_agree_over_ragged_sizes() {
    let tables = vector_tables();
    let mut number = 0;
    for m in (1..=14).chain([26, 27, 39, 40]) {
        for k in [0, 1, 2, 3, 16, 17, 65] {
            for n in [1, 2, 7, 8, 15, 16, 17, 31, 32, 33, 48, 63, 65] {
                let case = Product { m, k, n, activation: Activation::NAMES[number % 7].1, extras: number % 3 > 0 };
                let skew = number % 5;
                number += 1;
                let expected = product(&scalar(), &case, skew);
                let all: Vec<_> = tables.iter().map(|table| product(table, &case, skew)).collect();
                for (table, got) in tables.iter().zip(&all) {
                    let what = format!("{} [{m}, {k}] x [{k}, {n}] {:?}", table.isa, case.activation);
                    assert_close(got, &expected, 1e-6 * (k as f32 + 1.0), &what);
                    if table.isa != Isa::Amx {
                        assert_eq!(bits(got), bits(&all[0]), "{what}: the vector tables differ");
                    }
                }
            }
        }
    }
}

#[test]
fn a_large_product_agrees() {
    let case = Product { m: 107, k: 1536, n: 390, activation: Activation::Gelu, extras: true };
    let expected = product(&scalar(), &case, 3);
    for table in vector_tables() {
        assert_close(&product(&table, &case, 3), &expected, 5e-4, table.isa.name());
    }
}

#[test]
fn a_row_has_the_same_bits_alone_and_among_others() {
    // Two whole panels and a part of one: sums that go to the result straight from registers, and others.
    let (m, k, n) = (61, 70, 77);
    let (a, b, bias, residual) = (numbers(m * k, 1), numbers(k * n, 2), numbers(n, 3), numbers(m * n, 4));
    for (table, activation) in vector_tables()
        .into_iter()
        .chain([scalar()])
        .flat_map(|table| [Activation::Identity, Activation::Gelu].map(|activation| (table, activation)))
    {
        let packed = PackedMatrix::new(&table, &b, [k, n], [n, 1]);
        let run = |first: usize, count: usize| {
            let mut out = vec![0.0; count * n];
            let task = Matmul {
                bias: Some(&bias),
                activation,
                residual: Some(Rows::contiguous(&residual, n).range(first, count)),
                ..Matmul::new(Rows::contiguous(&a, k).range(first, count), packed.panels())
            };
            table.matmul(&task, &mut Scratch::default(), RowsMut::new(&mut out, count, n, n).unwrap());
            out
        };
        let together = run(0, m);
        for (first, count) in [(0, 1), (60, 1), (5, 13), (7, 30), (20, 41)] {
            let expected = &together[first * n..(first + count) * n];
            let what = format!("{} {activation:?}: rows {first}+{count}", table.isa);
            assert_eq!(bits(&run(first, count)), bits(expected), "{what}");
        }
        // The epilogue in one order, whichever way a sum goes: product, bias, activation, residual.
        let last = run(60, 1);
        let mut plain = vec![0.0; n];
        let task = Matmul::new(Rows::contiguous(&a, k).range(60, 1), packed.panels());
        table.matmul(&task, &mut Scratch::default(), RowsMut::new(&mut plain, 1, n, n).unwrap());
        plain.iter_mut().zip(&bias).for_each(|(x, bias)| *x += bias);
        table.activate(activation, &mut plain);
        plain.iter_mut().zip(&residual[60 * n..]).for_each(|(x, residual)| *x += residual);
        assert_eq!(bits(&last), bits(&plain), "{} {activation:?}: by hand", table.isa);
    }
}
