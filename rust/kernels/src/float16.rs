//! float16, which Rust does not have: its bits are a `u16`.

/// The value of a float16, exactly.
pub fn widen(bits: u16) -> f32 {
    let sign = u32::from(bits & 0x8000) << 16;
    let magnitude = u32::from(bits & 0x7fff);
    let wide = match magnitude {
        // Subnormals: 2^-24 units.
        0..0x400 => return f32::from_bits(sign | (magnitude as f32 * f32::powi(2.0, -24)).to_bits()),
        // Infinities and NaNs.
        0x7c00.. => 0x7f80_0000 | (magnitude << 13),
        // 112 is the difference of the biases, 127 - 15.
        _ => (magnitude << 13) + (112 << 23),
    };
    f32::from_bits(sign | wide)
}
