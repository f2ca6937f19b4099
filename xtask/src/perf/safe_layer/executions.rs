//! Executing a model.

use ascendcl::Model;

use super::rig::Rig;
use crate::{
    error::Error,
    perf::{
        measure::{Effort, by_turns, seconds_each},
        row::{Limit, Measured, Row, Target},
    },
    workspace,
};

/// So many executions a round: fewer than a queue holds.
const EXECUTIONS: usize = 64;

pub fn row() -> Row {
    Row {
        name: "execute",
        title: "asynchronous execution of a model, submitted",
        baseline: "the same in C",
        target: Target::Ratio(Limit::AtMost(1.05)),
        run: measure,
        remark: Some(
            "What is added is there for soundness: the model, and the datasets that ACL writes into, are locked for the call, buffers are held against the model's description, \
             and the stream keeps all three until it has passed the execution. `instructions-execute` counts it, and nine of these instructions \
             are atomic: four locks, and the number of the operation. C does none of it.",
        ),
        ..Row::PLAIN
    }
}

fn measure(effort: Effort) -> Result<Measured, Error> {
    let rig = Rig::new()?;
    let stream = rig.context.create_stream()?;
    let model = Model::load(&rig.context, workspace::root().join("examples/assets/digits/digits.onnx"))?;
    let (inputs, outputs) = (model.create_inputs()?, model.create_outputs()?);
    inputs.buffers().iter().try_for_each(|buffer| buffer.memset(0))?;
    let _entered = rig.context.enter()?;
    by_turns(
        effort,
        || {
            let time = seconds_each(EXECUTIONS, || {
                for _ in 0..EXECUTIONS {
                    model.execute_async(&stream, &inputs, &outputs)?;
                }
                Ok(())
            })?;
            stream.synchronize()?;
            Ok(time)
        },
        || {
            // SAFETY: [handle] model, datasets and stream live until the end of this function, and are waited for below.
            let time = seconds_each(EXECUTIONS, || unsafe {
                let datasets = (inputs.as_raw().cast_const(), outputs.as_raw());
                rig.c.executions(stream.as_raw(), model.as_raw(), datasets, EXECUTIONS)
            })?;
            // SAFETY: [handle] as above.
            unsafe { rig.c.synchronize(stream.as_raw()) }?;
            Ok(time)
        },
    )
}
