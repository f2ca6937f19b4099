//! What one thread works with: places with streams, and values that can be told from all others.

use std::sync::Arc;

use ascendcl::{Acl, Context, Error, Stream};

use super::{
    again,
    exchange::Exchange,
    models::{Digits, Reference},
    outcome::{Outcome, demand},
};
use crate::soak::{ledger::Ledger, plant::Plant};

/// A context with streams.
pub struct Place {
    pub context: Context,
    pub streams: Vec<Stream>,
    pub digits: Option<Digits>,
}

pub struct World {
    pub acl: Acl,
    pub random: fastrand::Rng,
    pub ledger: Arc<Ledger>,
    pub exchange: Arc<Exchange>,
    pub reference: Arc<Reference>,
    pub plant: Option<Plant>,
    pub places: Vec<Place>,
    /// How many pieces of work this thread has done.
    pub number: u64,
}

const PLACES: usize = 2;
const STREAMS: usize = 3;

impl World {
    pub fn new(
        acl: Acl,
        random: fastrand::Rng,
        ledger: Arc<Ledger>,
        exchange: Arc<Exchange>,
        reference: Arc<Reference>,
        plant: Option<Plant>,
    ) -> Result<Self, Error> {
        let mut world =
            Self { acl, random, ledger, exchange, reference, plant, places: Vec::new(), number: 0 };
        for _ in 0..PLACES {
            let place = again(|| world.open_place())?;
            world.places.push(place);
        }
        Ok(world)
    }

    /// A context on any device.
    pub fn open_place(&mut self) -> Result<Place, Error> {
        let devices = self.acl.device_count()? as i32;
        let context = self.acl.device(self.random.i32(0..devices))?.create_context()?;
        let streams = (0..STREAMS).map(|_| context.create_stream()).collect::<Result<_, _>>()?;
        Ok(Place { context, streams, digits: None })
    }

    pub fn place(&mut self) -> usize {
        self.random.usize(..self.places.len())
    }

    pub fn context(&mut self) -> Context {
        let place = self.place();
        self.places[place].context.clone()
    }

    /// Two streams of one context, which may be the same.
    pub fn streams(&mut self) -> (Stream, Stream) {
        let place = self.place();
        let (one, other) = (self.random.usize(..STREAMS), self.random.usize(..STREAMS));
        let streams = &self.places[place].streams;
        (streams[one].clone(), streams[other].clone())
    }

    pub fn stream(&mut self) -> Stream {
        self.streams().0
    }

    /// How many values: mostly few, sometimes a megabyte, sometimes none.
    pub fn length(&mut self) -> usize {
        match self.random.u8(..) {
            0..3 => 0,
            3..8 => self.random.usize(1..=256 << 10),
            _ => self.random.usize(1..=4096),
        }
    }

    /// Values that follow from a seed.
    pub fn values(&mut self) -> (u64, Vec<u32>) {
        let (seed, length) = (self.random.u64(..), self.length());
        (seed, values_of(seed, length))
    }

    /// Values that came back are those that went out.
    pub fn same(&self, what: &str, got: &[u32], expected: &[u32]) -> Outcome {
        let planted = self.plant == Some(Plant::Byte) && self.number % 1000 == 999;
        let got_planted: Vec<u32>;
        let got = if planted && !got.is_empty() {
            got_planted =
                got.iter().enumerate().map(|(index, value)| value ^ u32::from(index == 0)).collect();
            &got_planted
        } else {
            got
        };
        demand(got == expected, || {
            let first = got.iter().zip(expected).position(|(got, expected)| got != expected);
            match first {
                Some(index) => format!(
                    "{what}: value {index} of {} is {:#x}, it should be {:#x}",
                    expected.len(),
                    got[index],
                    expected[index]
                ),
                None => format!("{what}: {} values, there should be {}", got.len(), expected.len()),
            }
        })
    }
}

/// Values that follow from a seed.
pub fn values_of(seed: u64, length: usize) -> Vec<u32> {
    let mut random = fastrand::Rng::with_seed(seed);
    (0..length).map(|_| random.u32(..)).collect()
}
