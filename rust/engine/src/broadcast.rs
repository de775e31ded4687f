//! NumPy's broadcasting of the leading axes of two matrices.

/// The shape that two shapes broadcast to.
pub fn broadcast(a: &[usize], b: &[usize]) -> Option<Vec<usize>> {
    let rank = a.len().max(b.len());
    let at = |shape: &[usize], axis: usize| (axis + shape.len()).checked_sub(rank).map_or(1, |axis| shape[axis]);
    (0..rank)
        .map(|axis| match (at(a, axis), at(b, axis)) {
            (a, b) if a == b => Some(a),
            (1, size) | (size, 1) => Some(size),
            _ => None,
        })
        .collect()
}

/// Where the matrices of each product start, in C order over `outer`; an axis of one element repeats.
pub fn starts(outer: &[usize], operands: [(&[usize], &[usize]); 2]) -> Vec<[usize; 2]> {
    let start = |mut index: usize, (shape, strides): (&[usize], &[usize])| {
        let mut offset = 0;
        for (axis, size) in outer.iter().enumerate().rev() {
            let position = index % size;
            index /= size;
            if let Some(own) = (axis + shape.len()).checked_sub(outer.len()).filter(|own| shape[*own] != 1) {
                offset += position * strides[own];
            }
        }
        offset
    };
    (0..outer.iter().product()).map(|index| operands.map(|operand| start(index, operand))).collect()
}

#[cfg(test)]
mod tests {
    use super::{broadcast, starts};

    #[test]
    fn shapes_broadcast_as_in_numpy() {
        assert_eq!(broadcast(&[2, 1, 3], &[4, 1]), Some(vec![2, 4, 3]));
        assert_eq!(broadcast(&[], &[5]), Some(vec![5]));
        assert_eq!(broadcast(&[2], &[3]), None);
    }

    #[test]
    fn repeated_axes_do_not_move() {
        let found = starts(&[2, 3], [(&[2, 1], &[10, 10]), (&[3], &[7])]);
        assert_eq!(found, [[0, 0], [0, 7], [0, 14], [10, 0], [10, 7], [10, 14]]);
    }
}
