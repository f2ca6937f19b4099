//! Random numbers in device memory.
//!
//! The generator is Philox4x32-10 (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2, 3"), with the seed as its
//! key and the 16 bytes of counter memory as its counter, both little-endian. Each counter gives four words of 32 bits, used from the
//! first on:
//!
//! - a uniform real number takes one word: its upper 24 bits are a fraction in [0, 1);
//! - a uniform integer in [min, max) takes one word, or for 64 bits two, low first, and is the upper half of word times range;
//! - a normal number takes two, for the cosine of Box and Muller; a truncated one tries again until it is within two deviations;
//! - a dropout mask takes one word per bit: the bit, low bits of a byte first, is 1 (keep) unless the fraction is below the ratio.
//!
//! Words of the last counter that are left over are dropped, and the counter memory is left at the first counter that was not used.

use core::ffi::c_void;

use ascendcl_sys::{self as sys, aclError};

use super::number::Number;
use super::place::Place;
use super::range::device_range;
use crate::error::fail;

/// Bytes of the counter.
pub(crate) const COUNTER: usize = 16;
/// Bytes at a time.
const PIECE: usize = 1 << 20;

/// A parameter: its bytes, or where in device memory they are when the task runs.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Parameter {
    Value([u8; 8]),
    At { address: usize, size: usize },
}

impl Parameter {
    fn read(self) -> Result<[u8; 8], aclError> {
        match self {
            Self::Value(bytes) => Ok(bytes),
            Self::At { address, size } => {
                let read = memory_at(address, size)?.read()?;
                let mut bytes = [0; 8];
                bytes[..size].copy_from_slice(&read);
                Ok(bytes)
            }
        }
    }
}

/// What is drawn.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Distribution {
    Dropout { ratio: Parameter },
    Uniform { min: Parameter, max: Parameter },
    Normal { mean: Parameter, deviation: Parameter, truncated: bool },
}

/// Draws one number to a place for it.
type Source = Box<dyn FnMut(&mut Philox, &mut [u8])>;

/// A task that draws numbers.
#[derive(Clone, Debug)]
pub(crate) struct Draw {
    pub(crate) number: Number,
    pub(crate) distribution: Distribution,
    pub(crate) seed: Parameter,
    pub(crate) count: Parameter,
    pub(crate) counter: usize,
    pub(crate) result: usize,
}

impl Draw {
    /// The bytes that `count` numbers take.
    pub(crate) fn bytes(&self, count: u64) -> Option<usize> {
        let count = usize::try_from(count).ok()?;
        match self.distribution {
            Distribution::Dropout { .. } => Some(count.div_ceil(8)),
            _ => count.checked_mul(self.number.size()),
        }
    }

    pub(crate) fn run(&self) -> Result<(), aclError> {
        let seed = u64::from_le_bytes(self.seed.read()?);
        let count = u64::from_le_bytes(self.count.read()?);
        let counter = memory_at(self.counter, COUNTER)?;
        let bytes = self.bytes(count).unwrap_or(usize::MAX);
        let result = memory_at(self.result, bytes)?;
        let mut start = [0; COUNTER];
        start.copy_from_slice(&counter.read()?);
        let mut words = Philox::new(seed, u128::from_le_bytes(start));
        let mut draw = self.source()?;
        for first in (0..bytes).step_by(PIECE) {
            let mut piece = vec![0; PIECE.min(bytes - first)];
            match self.distribution {
                Distribution::Dropout { .. } => {
                    let bits = (count as usize - first * 8).min(piece.len() * 8);
                    for bit in 0..bits {
                        let mut keep = [0];
                        draw(&mut words, &mut keep);
                        piece[bit / 8] |= keep[0] << (bit % 8);
                    }
                }
                _ => piece.chunks_exact_mut(self.number.size()).for_each(|number| draw(&mut words, number)),
            }
            result.part(first, piece.len()).write(&piece)?;
        }
        counter.write(&words.counter.to_le_bytes())
    }

    /// What draws one number.
    fn source(&self) -> Result<Source, aclError> {
        let number = self.number;
        Ok(match self.distribution {
            Distribution::Dropout { ratio } => {
                let ratio = number.real(&ratio.read()?);
                Box::new(move |words, bit| bit[0] = (words.fraction() >= ratio).into())
            }
            Distribution::Uniform { min, max } if number.is_real() => {
                let (min, max) = (number.real(&min.read()?), number.real(&max.read()?));
                Box::new(move |words, place| number.put_real(min + words.fraction() * (max - min), place))
            }
            Distribution::Uniform { min, max } => {
                let (min, max) = (number.integer(&min.read()?), number.integer(&max.read()?));
                let range = u128::try_from(max - min).unwrap_or(0);
                let wide = number.size() == 8;
                Box::new(move |words, place| {
                    let (word, bits) = if wide { (words.wide(), 64) } else { (words.word().into(), 32) };
                    number.put_integer(min + ((u128::from(word) * range) >> bits) as i128, place);
                })
            }
            Distribution::Normal { mean, deviation, truncated } => {
                let (mean, deviation) = (number.real(&mean.read()?), number.real(&deviation.read()?));
                Box::new(move |words, place| {
                    let drawn = loop {
                        let drawn = words.normal();
                        if !truncated || drawn.abs() <= 2.0 {
                            break drawn;
                        }
                    };
                    number.put_real(mean + drawn * deviation, place);
                })
            }
        })
    }
}

/// Device memory at an address of a running task.
fn memory_at(address: usize, len: usize) -> Result<Place, aclError> {
    let pointer: *const c_void = std::ptr::without_provenance(address);
    device_range(pointer, len).map(Place::Device).map_err(|_| {
        fail(
            sys::ACL_ERROR_RT_SYS_DMA,
            format_args!("random numbers need {len} bytes of device memory at {pointer:p}"),
        )
    })
}

struct Philox {
    key: [u32; 2],
    /// The first that was not used.
    counter: u128,
    words: [u32; 4],
    used: usize,
}

impl Philox {
    fn new(seed: u64, counter: u128) -> Self {
        Self { key: [seed as u32, (seed >> 32) as u32], counter, words: [0; 4], used: 4 }
    }

    fn word(&mut self) -> u32 {
        if self.used == 4 {
            self.words = philox(self.counter, self.key);
            self.counter = self.counter.wrapping_add(1);
            self.used = 0;
        }
        self.used += 1;
        self.words[self.used - 1]
    }

    fn wide(&mut self) -> u64 {
        let low = self.word();
        u64::from(self.word()) << 32 | u64::from(low)
    }

    /// In [0, 1).
    fn fraction(&mut self) -> f32 {
        (self.word() >> 8) as f32 / 16_777_216.0
    }

    /// Of mean 0 and deviation 1.
    fn normal(&mut self) -> f32 {
        let radius = (-2.0 * (1.0 - self.fraction()).ln()).sqrt();
        radius * (std::f32::consts::TAU * self.fraction()).cos()
    }
}

/// Ten rounds.
fn philox(counter: u128, mut key: [u32; 2]) -> [u32; 4] {
    const MULTIPLIERS: [u32; 2] = [0xd251_1f53, 0xcd9e_8d57];
    const WEYL: [u32; 2] = [0x9e37_79b9, 0xbb67_ae85];
    let mut x = [0, 32, 64, 96].map(|shift| (counter >> shift) as u32);
    for _ in 0..10 {
        let product = |which: usize| u64::from(MULTIPLIERS[which]) * u64::from(x[which * 2]);
        let (a, b) = (product(0), product(1));
        x = [(b >> 32) as u32 ^ x[1] ^ key[0], b as u32, (a >> 32) as u32 ^ x[3] ^ key[1], a as u32];
        key = [key[0].wrapping_add(WEYL[0]), key[1].wrapping_add(WEYL[1])];
    }
    x
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The known answers that come with the authors' library, Random123.
    #[test]
    fn known_answers() {
        assert_eq!(philox(0, [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        assert_eq!(philox(u128::MAX, [u32::MAX; 2]), [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
        let counter = 0x0370_7344_1319_8a2e_85a3_08d3_243f_6a88;
        let key = [0xa409_3822, 0x299f_31d0];
        assert_eq!(philox(counter, key), [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]);
    }
}
