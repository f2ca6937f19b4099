//! Counts the answers, and says at the end what came out.

use crate::{counted, images::Sample, worker::Answer};
use std::{fmt::Write, time::Duration};

/// Width of the longest bar.
const BAR: usize = 40;

pub struct Tally {
    devices: Vec<(i32, usize)>,
    /// What the model said of each image.
    answers: Vec<Option<(usize, f32)>>,
    /// An image of which it said one thing first and another later.
    unsteady: Option<usize>,
    latencies: Vec<Duration>,
    /// From the first upload to the last answer.
    pub took: Duration,
}

impl Tally {
    pub fn new(devices: impl Iterator<Item = i32>, samples: usize) -> Tally {
        Tally {
            devices: devices.map(|id| (id, 0)).collect(),
            answers: vec![None; samples],
            unsteady: None,
            latencies: Vec::new(),
            took: Duration::ZERO,
        }
    }

    pub fn add(&mut self, answer: &Answer) {
        let before = self.answers[answer.sample].replace((answer.class, answer.score));
        if before.is_some_and(|(class, _)| class != answer.class) {
            self.unsteady = Some(answer.sample);
        }
        self.latencies.push(answer.latency);
        if let Some((_, count)) = self.devices.iter_mut().find(|(id, _)| *id == answer.device) {
            *count += 1;
        }
    }

    /// How many answers there were.
    pub fn answers(&self) -> usize {
        self.latencies.len()
    }

    /// An image that got different answers in different rounds. There should be none.
    pub fn unsteady(&self) -> Option<usize> {
        self.unsteady
    }

    /// `each`: says what is on each image, not only on those whose names do not tell.
    pub fn report(mut self, samples: &[Sample], each: bool) -> String {
        self.latencies.sort_unstable();
        let mut text = String::new();
        self.write(&mut text, samples, each).expect("a string takes everything");
        text
    }

    fn write(&self, text: &mut String, samples: &[Sample], each: bool) -> std::fmt::Result {
        // Where the name does not tell what is on the image, this does.
        for (Sample { path, label, .. }, answer) in samples.iter().zip(&self.answers) {
            if let Some((class, score)) = answer.filter(|_| each || label.is_none()) {
                let wrong = match label {
                    Some(label) if *label != class => format!(", labelled {label}"),
                    _ => String::new(),
                };
                writeln!(text, "{}: {class} ({:.1} %){wrong}", path.display(), score * 100.0)?;
            }
        }
        let most = self.devices.iter().map(|&(_, count)| count).max().unwrap_or(0).max(1);
        for &(id, count) in &self.devices {
            let bar = "█".repeat((count * BAR).div_ceil(most));
            writeln!(text, "device {id:<4} {bar:<BAR$} {}", counted(count, "image"))?;
        }
        let labels = samples
            .iter()
            .zip(&self.answers)
            .filter_map(|(sample, answer)| Some((sample.label?, (*answer)?.0)));
        let (labelled, right) = labels
            .fold((0, 0), |(all, right), (label, class)| (all + 1, right + usize::from(label == class)));
        if labelled > 0 {
            let accuracy = right as f64 / labelled as f64;
            writeln!(text, "accuracy    {accuracy:.4} ({right} of {})", counted(labelled, "image"))?;
        }
        let rate = self.answers() as f64 / self.took.as_secs_f64();
        writeln!(text, "throughput  {rate:.0} images/s ({} in {:.2?})", self.answers(), self.took)?;
        writeln!(
            text,
            "latency     p50 {:.1?}, p99 {:.1?} (events: from before the upload to behind the download)",
            self.percentile(50),
            self.percentile(99)
        )
    }

    /// The time that so many percent of the images did not exceed.
    fn percentile(&self, percent: usize) -> Duration {
        let rank = (self.latencies.len() * percent).div_ceil(100);
        self.latencies.get(rank.saturating_sub(1)).copied().unwrap_or_default()
    }
}
