//! Every instruction set's table against the scalar one, and the vector tables against each other, bit for bit; but for the
//! products of AMX, which have an order of their own.

mod activations;
mod attention;
mod digits;
#[path = "../numbers/mod.rs"]
mod numbers;
mod products;
mod rows;
mod tiles;

use kernels::{Isa, Kernels};

/// The vector tables of this CPU; says which ones could not be tested.
pub(crate) fn vector_tables() -> Vec<Kernels> {
    let (present, absent): (Vec<Isa>, Vec<Isa>) =
        Isa::ALL.into_iter().filter(|isa| *isa != Isa::Scalar).partition(|isa| Kernels::for_isa(*isa).is_some());
    for isa in absent {
        println!("NOT TESTED: this CPU has no {isa}");
    }
    present.into_iter().filter_map(Kernels::for_isa).collect()
}

pub(crate) fn scalar() -> Kernels {
    Kernels::for_isa(Isa::Scalar).expect("every CPU runs the scalar table")
}

pub(crate) fn bits(data: &[f32]) -> Vec<u32> {
    data.iter().map(|x| x.to_bits()).collect()
}
