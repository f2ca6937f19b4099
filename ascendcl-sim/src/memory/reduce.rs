//! Reduction: numbers in one place are combined with those in another.

use ascendcl_sys::aclError;

use super::number::Number;
use super::place::Place;

/// Bytes at a time.
const PIECE: usize = 1 << 20;

/// How two numbers become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reduction {
    Sum,
    Max,
    Min,
}

/// Combines the whole numbers of both places, which are equally long, and leaves the results in `to`. Sums of integers wrap.
pub(crate) fn reduce(to: &Place, from: &Place, number: Number, reduction: Reduction) -> Result<(), aclError> {
    let len = to.len() / number.size() * number.size();
    for start in (0..len).step_by(PIECE) {
        let piece = PIECE.min(len - start);
        let to = to.part(start, piece);
        let mut left = to.read()?;
        let right = from.part(start, piece).read()?;
        for (left, right) in left.chunks_exact_mut(number.size()).zip(right.chunks_exact(number.size())) {
            combine(left, right, number, reduction);
        }
        to.write(&left)?;
    }
    Ok(())
}

fn combine(left: &mut [u8], right: &[u8], number: Number, reduction: Reduction) {
    if number.is_real() {
        let (a, b) = (number.real(left), number.real(right));
        let result = match reduction {
            Reduction::Sum => a + b,
            Reduction::Max => a.max(b),
            Reduction::Min => a.min(b),
        };
        number.put_real(result, left);
    } else {
        let (a, b) = (number.integer(left), number.integer(right));
        let result = match reduction {
            Reduction::Sum => a + b,
            Reduction::Max => a.max(b),
            Reduction::Min => a.min(b),
        };
        number.put_integer(result, left);
    }
}
