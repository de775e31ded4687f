//! Windows over blocked images and functions of one number: every instruction set's table against the scalar one.

mod numbers;

use kernels::{Activation, Isa, Kernels, Line, Pixel, Pointwise, Rows, RowsMut, WindowProduct, WindowRow, Windows};
use numbers::{assert_close, numbers};

fn vector_tables() -> Vec<Kernels> {
    Isa::ALL.into_iter().filter(|isa| *isa != Isa::Scalar).filter_map(Kernels::for_isa).collect()
}

fn scalar() -> Kernels {
    Kernels::for_isa(Isa::Scalar).expect("every CPU runs the scalar table")
}

fn pixels(count: usize, seed: u64) -> Vec<Pixel> {
    numbers(count * 16, seed).as_chunks().0.to_vec()
}

fn lines(count: usize, seed: u64) -> Vec<Line> {
    pixels(count, seed).into_iter().map(Line).collect()
}

fn bits(data: &[f32]) -> Vec<u32> {
    data.iter().map(|x| x.to_bits()).collect()
}

/// The filters `[blocks][rows]` in panels of a table's width.
fn panels(table: &Kernels, filters: &[Line], [blocks, rows]: [usize; 2]) -> Vec<Line> {
    let vectors = table.panel_width / 16;
    let mut found = Vec::new();
    for first in (0..blocks).step_by(vectors) {
        for row in 0..rows {
            found.extend((first..blocks.min(first + vectors)).map(|block| filters[block * rows + row]));
        }
    }
    found
}

/// Runs a product in two parts, whose results have a gap behind each row.
fn product(table: &Kernels, blocks: usize, places: usize, starts: &[usize], short: usize, lanes: usize) -> Vec<f32> {
    let rows = (starts.len() - short) * 16 + short * lanes;
    let x = pixels(places + 40, 1);
    let filters = panels(table, &lines(blocks * rows, 2), [blocks, rows]);
    let bias = lines(blocks, 3);
    let stride = places * 16 + 5;
    let mut out = vec![f32::MAX; blocks * stride];
    let whole = starts.len() - short;
    let cut = whole / 2;
    let mut run = |starts: &[usize], short, done, bias| {
        let task = WindowProduct { x: &x, starts, short, lanes, filters: &filters, rows: [rows, done], bias };
        table.window_product(&task, RowsMut::new(&mut out, blocks, places * 16, stride).unwrap());
    };
    run(&starts[..cut], 0, 0, Some(&bias[..]));
    run(&starts[cut..], short, cut * 16, None);
    assert!((0..blocks).all(|block| out[block * stride + places * 16..][..5] == [f32::MAX; 5]), "wrote behind a row");
    (0..blocks).flat_map(|block| out[block * stride..][..places * 16].to_vec()).collect()
}

#[test]
fn products_of_windows_agree_over_ragged_sizes() {
    for places in (0..=14).chain([25, 26, 27, 40]) {
        for blocks in [1, 2, 3, 5] {
            for (taps, short, lanes) in [(1, 0, 16), (1, 1, 3), (9, 0, 16), (6, 2, 7), (3, 3, 16), (2, 1, 0)] {
                let starts: Vec<usize> = (0..taps).map(|tap| tap * 7 % 40).collect();
                let want = product(&scalar(), blocks, places, &starts, short, lanes);
                let mut first = None;
                for table in vector_tables() {
                    let got = product(&table, blocks, places, &starts, short, lanes);
                    let what = format!("{} {places} {blocks} {taps} {short} {lanes}", table.isa);
                    assert_close(&got, &want, 1e-6 * (taps * 16) as f32, &what);
                    assert_eq!(first.get_or_insert(bits(&got)), &bits(&got), "{what}: the vector tables differ");
                }
            }
        }
    }
}

#[test]
fn rows_of_windows_agree_over_ragged_sizes() {
    let (weights, bias) = (lines(9, 4), lines(1, 5));
    for places in 0..=20 {
        for step in [1, 2, 3] {
            for taps in [0, 1, 4, 9] {
                let taps: Vec<[usize; 2]> = (0..taps).map(|tap| [tap * 5 % 11, 8 - tap]).collect();
                let mut x = pixels(11 + places * step, 6);
                x[4][7] = f32::NAN;
                for windows in [Windows::Sum(&weights, &bias[0]), Windows::Largest] {
                    let task = WindowRow { x: &x, taps: &taps, step, windows };
                    let mut want = vec![[9.0; 16]; places];
                    scalar().window_row(&task, &mut want);
                    for table in vector_tables() {
                        let mut got = vec![[7.0; 16]; places];
                        table.window_row(&task, &mut got);
                        for (got, want) in got.as_flattened().iter().zip(want.as_flattened()) {
                            let is_close = (got - want).abs() <= 1e-5 || got == want || got.is_nan() && want.is_nan();
                            assert!(is_close, "{} {places} {step} {taps:?}: {got}, not {want}", table.isa);
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn functions_of_one_number_agree_at_every_length() {
    let all = [
        Pointwise::Activate(Activation::Tanh),
        Pointwise::Add(0.7),
        Pointwise::Multiply(-2.5),
        Pointwise::Clamp(-0.5, 0.25),
        Pointwise::HardSigmoid(0.3, 0.45),
        Pointwise::HardSwish,
        Pointwise::LeakyRelu(-0.2),
    ];
    for length in (0..40).chain([100]) {
        let mut x: Vec<f32> = numbers(length, 7).iter().map(|x| x * 5.0).collect();
        x.iter_mut().skip(3).step_by(17).for_each(|x| *x = f32::NAN);
        x.iter_mut().skip(5).step_by(17).for_each(|x| *x = f32::INFINITY);
        for steps in all.windows(2).chain(all.chunks(1)) {
            let mut want = x.clone();
            scalar().pointwise(steps, &mut want);
            let summand = numbers(length, 8);
            scalar().accumulate(&summand, &mut want);
            for table in vector_tables() {
                let mut got = x.clone();
                table.pointwise(steps, &mut got);
                table.accumulate(&summand, &mut got);
                for (got, want) in got.iter().zip(&want) {
                    let is_close = (got - want).abs() <= 2e-6 * (1.0 + want.abs());
                    let is_same = got == want || got.is_nan() && want.is_nan();
                    assert!(is_close || is_same, "{} {steps:?}: {got}, not {want}", table.isa);
                }
            }
        }
    }
}

#[test]
fn channels_become_pixels_and_come_back() {
    for table in vector_tables().into_iter().chain([scalar()]) {
        for channels in [1, 3, 15, 16] {
            for places in [0, 1, 15, 16, 17, 50] {
                let x = numbers(channels * (places + 3), 9);
                let rows = Rows::new(&x, channels, places, places + 3).unwrap();
                let mut there = vec![[f32::NAN; 16]; places];
                table.to_pixels(rows, &mut there);
                for (place, pixel) in there.iter().enumerate() {
                    for (lane, got) in pixel.iter().enumerate() {
                        let want = if lane < channels { rows.row(lane)[place] } else { 0.0 };
                        assert_eq!(*got, want, "{} {channels} {places}", table.isa);
                    }
                }
                let factors = std::array::from_fn(|lane| lane as f32 - 4.0);
                let mut scaled = there.clone();
                table.scale(&factors, &mut scaled);
                for (scaled, pixel) in scaled.iter().zip(&there) {
                    assert_eq!(*scaled, std::array::from_fn(|lane| pixel[lane] * factors[lane]), "{}", table.isa);
                }
                let mut back = vec![f32::MAX; channels * (places + 1)];
                table.from_pixels(&there, RowsMut::new(&mut back, channels, places, places + 1).unwrap());
                for channel in 0..channels {
                    let (got, gap) = back[channel * (places + 1)..][..places + 1].split_at(places);
                    assert_eq!((got, gap), (rows.row(channel), &[f32::MAX][..]), "{}", table.isa);
                }
            }
        }
    }
}
