//! The example `classify` on four devices, beside the simplest program that does the same.

use std::{
    env,
    fs::{self, File},
    io::BufReader,
    path::PathBuf,
    process::Command,
    time::Instant,
};

use super::acl::Session;
use super::execution::{Classifier, IMAGE};
use crate::{
    error::Error,
    perf::{
        measure::{Effort, by_turns},
        row::{Limit, Measured, Row, Target, Unit},
    },
    workspace,
};

pub fn row() -> Row {
    Row {
        name: "sim-classify",
        title: "images classified a second by the example `classify`: four devices, two streams each",
        baseline: "one thread with one device: for each image a blocking copy, a blocking execution and a blocking copy",
        unit: Unit::Rate,
        target: Target::Ratio(Limit::AtLeast(1.8)),
        run: measure,
        remark: Some(
            "Both compute with the same engine. The baseline's thread waits while a thread of the engine computes; the example's streams compute on their own threads, one for each \
             processor. `getrusage` of the example counted 53 µs of processor time for each image, about 25 µs of them in the engine and a third in the kernel, for two sleeps of a \
             thread: that is 38 k/s on two processors at most, and 1.8 times the baseline was 34 and 42 k/s in two runs.",
        ),
        ..Row::PLAIN
    }
}

fn measure(effort: Effort) -> Result<Measured, Error> {
    let repeat = effort.choose(1, 20);
    let images = images()?;
    let example = build_example()?;
    let session = Session::usual();
    let measured = (|| {
        let classifier = Classifier::load()?;
        by_turns(
            effort,
            || example_rate(&example, repeat),
            || {
                let start = Instant::now();
                for image in images.iter().cycle().take(images.len() * repeat) {
                    classifier.upload(&image.map(|pixel| f32::from(pixel) / 255.0));
                    classifier.execute();
                    std::hint::black_box(classifier.download());
                }
                Ok((images.len() * repeat) as f64 / start.elapsed().as_secs_f64())
            },
        )
    })();
    drop(session);
    measured
}

fn images() -> Result<Vec<[u8; IMAGE]>, Error> {
    let folder = workspace::root().join("examples/assets/digits/images");
    let files = fs::read_dir(&folder).map_err(|error| Error::io("read", &folder, error))?;
    let image = |path: PathBuf| {
        let file = File::open(&path).map_err(|error| Error::io("read", &path, error))?;
        let mut pixels = [0; IMAGE];
        png::Decoder::new(BufReader::new(file))
            .read_info()
            .and_then(|mut reader| reader.next_frame(&mut pixels))
            .map_err(|error| Error::new(format!("{} is no image: {error}", path.display())))?;
        Ok(pixels)
    };
    let paths = files.filter_map(|file| file.ok().map(|file| file.path()));
    paths.filter(|path| path.extension().is_some_and(|end| end == "png")).map(image).collect()
}

/// The path of the built example.
fn build_example() -> Result<PathBuf, Error> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .current_dir(workspace::root())
        .args(["build", "--release", "--locked", "--quiet", "--example", "classify"])
        .status()
        .map_err(|error| Error::new(format!("cannot start cargo: {error}")))?;
    if !status.success() {
        return Err(Error::new("the example `classify` does not build"));
    }
    let cache = workspace::cache();
    let target = cache.parent().unwrap_or(&cache);
    Ok(target.join("release/examples/classify"))
}

/// The throughput that the example tells.
fn example_rate(example: &PathBuf, repeat: usize) -> Result<f64, Error> {
    let output = Command::new(example)
        .args(["--devices", "0,1,2,3", "--streams", "2", "--repeat", &repeat.to_string()])
        .output()
        .map_err(|error| Error::io("start", example, error))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let rate =
        text.lines().find_map(|line| line.strip_prefix("throughput")?.trim().split(' ').next()?.parse().ok());
    rate.filter(|_| output.status.success()).ok_or_else(|| {
        Error::new(format!("classify failed: {text}{}", String::from_utf8_lossy(&output.stderr)))
    })
}
