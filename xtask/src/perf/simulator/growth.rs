//! How the simulator's costs grow: with streams, with threads that submit, with devices, with the size of copies.

use std::hint::black_box;
use std::thread;
use std::time::Instant;

use super::acl::{DeviceMemory, Event, PinnedMemory, Session, Stream};
use super::streams;
use crate::{
    error::Error,
    perf::{
        measure::{Effort, quantile},
        plot::{Axis, Plot, Series},
    },
};

pub fn plots() -> Vec<Plot> {
    let axis = |title, logarithmic| Axis { title, logarithmic };
    vec![
        Plot {
            name: "sim-growth-streams",
            title: "Tasks that do nothing, by turns on many streams",
            x: axis("streams", true),
            y: axis("ns for a task", true),
            environment: &[],
            run: by_streams,
        },
        Plot {
            name: "sim-growth-threads",
            title: "Tasks that do nothing, submitted by many threads",
            x: axis("threads", true),
            y: axis("tasks a second", true),
            environment: &[],
            run: by_threads,
        },
        Plot {
            name: "sim-growth-devices",
            title: "Copies of 64 KiB within devices, one stream and one thread each",
            x: axis("devices", false),
            y: axis("copies a second, all devices together", false),
            environment: &[],
            run: by_devices,
        },
        Plot {
            name: "sim-growth-copies",
            title: "Copies of all sizes",
            x: axis("bytes", true),
            y: axis("bytes a second", true),
            environment: &[],
            run: by_size,
        },
    ]
}

/// The median time of some runs, in seconds, after one that counts for nothing.
fn median(runs: usize, mut run: impl FnMut()) -> f64 {
    run();
    let mut times: Vec<f64> = (0..runs)
        .map(|_| {
            let start = Instant::now();
            run();
            start.elapsed().as_secs_f64()
        })
        .collect();
    quantile(&mut times, 0.5)
}

fn by_streams(effort: Effort) -> Result<Vec<Series>, Error> {
    let session = streams::session();
    let tasks = effort.choose(streams::MANY, 20_000);
    let points = {
        let event = Event::new();
        let mut streams: Vec<Stream> = Vec::new();
        let counts = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, streams::MANY];
        counts
            .map(|count| {
                streams.resize_with(count, Stream::new);
                let time = median(effort.choose(1, 9), || streams::work(&streams, &event, tasks));
                (count as f64, time / tasks as f64 * 1e9)
            })
            .to_vec()
    };
    drop(session);
    Ok(vec![Series { name: "record, then all waited for".into(), points }])
}

fn by_threads(effort: Effort) -> Result<Vec<Series>, Error> {
    let tasks = effort.choose(640, 64_000);
    let session = streams::session();
    let series = {
        let one = Stream::new();
        let rate = |threads: usize, shared: bool| {
            let time = median(effort.choose(1, 9), || {
                thread::scope(|scope| {
                    for _ in 0..threads {
                        scope.spawn(|| {
                            session.use_device(0);
                            let (own, event) = (Stream::new(), Event::new());
                            let stream = if shared { &one } else { &own };
                            (0..tasks / threads).for_each(|_| stream.record(&event));
                            stream.synchronize();
                        });
                    }
                });
            });
            (threads as f64, tasks as f64 / time)
        };
        let series = |name: &str, shared| Series {
            name: name.into(),
            points: [1, 2, 4, 8, 16, 32, 64].map(|threads| rate(threads, shared)).to_vec(),
        };
        vec![series("each its own stream", false), series("all the same stream", true)]
    };
    drop(session);
    Ok(series)
}

fn by_devices(effort: Effort) -> Result<Vec<Series>, Error> {
    const SIZE: usize = 64 << 10;
    let copies = effort.choose(10, 4000);
    let session = Session::usual();
    let work = |device| {
        session.use_device(device);
        let stream = Stream::new();
        let (to, from) = (DeviceMemory::new(SIZE), DeviceMemory::new(SIZE));
        (0..copies).for_each(|_| stream.copy(&to, &from, SIZE));
        stream.synchronize();
    };
    let points = [1, 2, 3, 4].map(|devices| {
        let time = median(effort.choose(1, 9), || {
            thread::scope(|scope| (0..devices).for_each(|device| drop(scope.spawn(move || work(device)))));
        });
        (f64::from(devices), copies as f64 * f64::from(devices) / time)
    });
    drop(session);
    Ok(vec![Series { name: "copies".into(), points: points.to_vec() }])
}

fn by_size(effort: Effort) -> Result<Vec<Series>, Error> {
    let largest: usize = effort.choose(1 << 20, 256 << 20);
    let session = Session::usual();
    let mut series =
        ["memcpy", "blocking, to the device", "enqueued and waited for, to the device", "within the device"]
            .map(|name| Series { name: name.into(), points: Vec::new() });
    {
        let (device, other) = (DeviceMemory::new(largest), DeviceMemory::new(largest));
        let pinned = PinnedMemory::new(largest);
        let (from, mut to) = (vec![1_u8; largest], vec![2_u8; largest]);
        let stream = Stream::new();
        let sizes = (10..).step_by(2).map(|bits| 1_usize << bits).take_while(|&size| size <= largest);
        for size in sizes {
            // So that a run takes a millisecond at least.
            let times = ((16 << 20) / size).clamp(1, 1000);
            let runs = effort.choose(1, 9);
            let mut note = |index: usize, run: &mut dyn FnMut()| {
                let time = median(runs, || (0..times).for_each(|_| run()));
                series[index].points.push((size as f64, (size * times) as f64 / time));
            };
            note(0, &mut || black_box(&mut to)[..size].copy_from_slice(&black_box(&from)[..size]));
            note(1, &mut || device.fill_from(&from[..size]));
            note(2, &mut || {
                stream.upload(&device, &pinned, size);
                stream.synchronize();
            });
            note(3, &mut || {
                stream.copy(&other, &device, size);
                stream.synchronize();
            });
        }
    }
    drop(session);
    Ok(series.into())
}
