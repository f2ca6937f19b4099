//! A graph that is ready to run, with what has to happen to its inputs before: the gear picks their shapes, AIPP makes their contents.

use super::aipp::params::{self, Params};
use super::aipp::process::Plan;
use super::element::{Element, f32_to_f16};
use super::engine::{Input, Output, Program};

/// Why an execution failed.
pub(crate) enum Fault {
    /// In words.
    Text(String),
    /// With a code whose text has been left.
    Code(ascendcl_sys::aclError),
}

impl From<String> for Fault {
    fn from(text: String) -> Self {
        Fault::Text(text)
    }
}

/// Gives so many bytes from the start of one of the model's inputs.
pub(crate) type Read<'a> = &'a dyn Fn(usize, usize) -> Result<Vec<u8>, Fault>;

/// What runs.
pub(crate) struct Graph {
    pub(crate) program: Box<dyn Program>,
    /// The graph's own inputs, which are the model's first ones.
    pub(crate) feeds: Vec<Feed>,
    pub(crate) outputs: Vec<Element>,
    /// The model's input that tells the gear.
    pub(crate) gear_input: Option<usize>,
    pub(crate) gears: Vec<Vec<u64>>,
}

/// One input of the graph.
pub(crate) struct Feed {
    pub(crate) element: Element,
    /// -1 where the gear or the execution decides.
    pub(crate) dims: Vec<i64>,
    /// Which of the gear's values an axis takes.
    pub(crate) axes: Vec<Option<usize>>,
    /// Channels last.
    pub(crate) nhwc: bool,
    pub(crate) aipp: Aipp,
}

/// What prepares an input.
pub(crate) enum Aipp {
    None,
    Static(Box<Plan>),
    /// The plan lies in another input of the model.
    Dynamic {
        params: usize,
    },
}

impl Feed {
    /// The shape in a gear.
    pub(crate) fn in_gear(&self, gear: &[u64]) -> Vec<i64> {
        let dim = |(&dim, axis): (&i64, &Option<usize>)| match axis.and_then(|axis| gear.get(axis)) {
            Some(&value) => value as i64,
            None => dim,
        };
        self.dims.iter().zip(&self.axes).map(dim).collect()
    }

    /// Images in the batch, width, height and channels of a shape.
    fn image(&self, shape: &[usize]) -> Result<(usize, [usize; 2], usize), String> {
        match *shape {
            [batch, height, width, channels] if self.nhwc => Ok((batch, [width, height], channels)),
            [batch, channels, height, width] => Ok((batch, [width, height], channels)),
            _ => Err(format!("AIPP needs an input of four axes, not {shape:?}")),
        }
    }
}

impl Graph {
    /// The gear whose values start an input's bytes. The setters write 8 bytes a value where there is room for them, 4 otherwise.
    fn gear(&self, input: usize, claimed: usize, read: Read<'_>) -> Result<Vec<u64>, Fault> {
        let count = self.gears.first().map_or(0, Vec::len);
        let wide = claimed >= count * 8;
        let bytes = read(input, count * if wide { 8 } else { 4 })?;
        let values: Vec<u64> = match wide {
            true => bytes.as_chunks().0.iter().map(|&value| u64::from_le_bytes(value)).collect(),
            false => bytes.as_chunks().0.iter().map(|&value| u64::from(u32::from_le_bytes(value))).collect(),
        };
        if self.gears.contains(&values) {
            return Ok(values);
        }
        Err(format!(
            "its input 'ascend_mbatch_shape_data' tells of {values:?}, which is none of its gears {:?}; set one for this dataset before \
             each execution",
            self.gears
        )
        .into())
    }

    /// The gear's index and the shapes of the graph's inputs. `claimed` are the bytes of each of the model's inputs, `given` the shapes
    /// that the execution came with.
    fn shapes(
        &self,
        claimed: &[usize],
        given: &[Option<Vec<i64>>],
        read: Read<'_>,
    ) -> Result<(Option<usize>, Vec<Vec<usize>>), Fault> {
        let gear = match self.gear_input {
            Some(input) => Some(self.gear(input, claimed.get(input).copied().unwrap_or(0), read)?),
            None => None,
        };
        let mut shapes = Vec::with_capacity(self.feeds.len());
        for (index, feed) in self.feeds.iter().enumerate() {
            let dims = match (&gear, given.get(index)) {
                (Some(gear), _) => feed.in_gear(gear),
                (None, Some(Some(dims))) => dims.clone(),
                (None, _) => feed.dims.clone(),
            };
            let shape: Option<Vec<usize>> = dims.iter().map(|&dim| usize::try_from(dim).ok()).collect();
            shapes.push(shape.ok_or_else(|| format!("input {index} has the undecided shape {dims:?}"))?);
        }
        let index = gear.and_then(|gear| self.gears.iter().position(|known| *known == gear));
        Ok((index, shapes))
    }

    /// Computes the outputs; also tells the index of the gear.
    pub(crate) fn run(
        &self,
        claimed: &[usize],
        given: &[Option<Vec<i64>>],
        read: Read<'_>,
    ) -> Result<(Option<usize>, Vec<Output>), Fault> {
        let (gear, shapes) = self.shapes(claimed, given, read)?;
        let mut contents = Vec::with_capacity(self.feeds.len());
        for (index, (feed, shape)) in self.feeds.iter().zip(&shapes).enumerate() {
            contents.push(match &feed.aipp {
                Aipp::None => {
                    let bytes = shape.iter().try_fold(feed.element.size(), |bytes, &dim| bytes.checked_mul(dim));
                    read(index, bytes.ok_or_else(|| format!("input {index} has the impossible shape {shape:?}"))?)?
                }
                Aipp::Static(plan) => {
                    let (batch, ..) = feed.image(shape)?;
                    prepare(feed, shape, &vec![Plan::clone(plan); batch], index, read)?
                }
                Aipp::Dynamic { params } => {
                    let (batch, ..) = feed.image(shape)?;
                    let size = params::data_size(batch as u64).and_then(|size| usize::try_from(size).ok());
                    let bytes = read(*params, size.ok_or_else(|| format!("a batch of {batch} is too large"))?)?;
                    let parameters = Params::read(&bytes, batch).ok_or_else(|| "no AIPP parameters".to_owned())?;
                    if parameters.head.batch_num != batch as i8 {
                        return Err(format!(
                            "the AIPP parameters are for {} images, the input has {batch}; set them for this dataset before each \
                             execution",
                            parameters.head.batch_num
                        )
                        .into());
                    }
                    let plans = parameters.batches.iter().map(|batch| Plan::dynamic(&parameters, batch));
                    prepare(feed, shape, &plans.collect::<Result<Vec<_>, String>>()?, index, read)?
                }
            });
        }
        let feeds = self.feeds.iter().zip(&shapes).zip(&contents);
        let inputs: Vec<Input<'_>> =
            feeds.map(|((feed, shape), bytes)| Input { element: feed.element, shape, bytes }).collect();
        let outputs = self.program.run(&inputs, &self.outputs)?;
        if outputs.len() != self.outputs.len() {
            return Err(format!("{} outputs instead of {}", outputs.len(), self.outputs.len()).into());
        }
        Ok((gear, outputs))
    }
}

/// Makes a graph's input from images, one plan for each.
fn prepare(
    feed: &Feed,
    shape: &[usize],
    plans: &[Plan],
    index: usize,
    read: Read<'_>,
) -> Result<Vec<u8>, Fault> {
    let (batch, size, channels) = feed.image(shape)?;
    let mut bytes = Vec::new();
    let mut start = 0usize;
    let total = plans.iter().try_fold(0usize, |total, plan| total.checked_add(plan.image_size()?));
    let images = read(index, total.ok_or_else(|| "the images are too large".to_owned())?)?;
    for plan in &plans[..batch.min(plans.len())] {
        if plan.output() != Some(size) {
            return Err(
                format!("AIPP makes images of {:?} pixels, the model takes {size:?}", plan.output()).into()
            );
        }
        let end = start + plan.image_size().unwrap_or(0);
        let planes = plan.run(&images[start..end], channels)?;
        start = end;
        encode(&planes, feed, channels, &mut bytes)?;
    }
    Ok(bytes)
}

/// Puts planes into the model's layout and element type.
fn encode(planes: &[f32], feed: &Feed, channels: usize, to: &mut Vec<u8>) -> Result<(), String> {
    let pixels = planes.len() / channels.max(1);
    let mut put = |value: f32| {
        match feed.element {
            Element::F32 => to.extend(value.to_le_bytes()),
            Element::F16 => to.extend(f32_to_f16(value).to_le_bytes()),
            // A cast saturates.
            Element::U8 => to.push(value as u8),
            Element::I8 => to.push((value as i8) as u8),
            other => return Err(format!("AIPP makes no elements of type {other:?}")),
        }
        Ok(())
    };
    if feed.nhwc {
        (0..pixels)
            .try_for_each(|pixel| (0..channels).try_for_each(|channel| put(planes[channel * pixels + pixel])))
    } else {
        planes.iter().try_for_each(|&value| put(value))
    }
}
