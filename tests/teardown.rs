//! Everything dropped in every order, with work pending.

mod support;

use ascendcl::{Acl, EventFlags, Model, Result};
use std::any::Any;
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};
use support::{Gate, HostGate, Random};

/// A handle of any kind, to be dropped.
type Handle = Box<dyn Any + Send>;

/// One of everything, with work on all streams that waits for the gates. Gives the handles, and the gates, which are two more.
fn everything(acl: &Acl, ran: &Arc<AtomicUsize>, model: bool) -> Result<(Vec<Handle>, Gate, HostGate)> {
    let device = acl.device(0)?;
    let (context, second) = (device.create_context()?, device.create_context()?);
    let streams = [context.create_stream()?, context.create_stream()?, second.create_stream()?];
    let plain = context.create_event()?;
    let sync = context.create_event_with_flags(EventFlags::SYNC)?;
    let buffer = context.alloc::<u32>(1000)?;
    let view = buffer.view(10..20)?;
    let foreign = second.alloc::<u32>(1000)?;

    let gate = Gate::close(&streams[0])?;
    let host_gate = HostGate::close(&streams[2])?;
    let upload = streams[0].upload(context.alloc_pinned(1000)?, &buffer)?;
    streams[0].record(&plain)?;
    streams[1].wait(&plain)?;
    streams[1].copy(&buffer, &foreign)?;
    streams[1].record(&sync)?;
    streams[2].wait(&sync)?;
    streams[2].reset(&sync)?;
    let download = streams[2].download(&foreign, second.alloc_pinned(1000)?)?;
    let mut callbacks = Vec::new();
    for stream in &streams {
        for _ in 0..3 {
            let ran = ran.clone();
            // It carries the last handles of something of its own.
            let own = (stream.context().create_event()?, stream.context().alloc::<u8>(8)?);
            callbacks.push(stream.launch_callback(move || {
                drop(own);
                ran.fetch_add(1, Ordering::SeqCst);
            })?);
        }
    }
    let mut handles: Vec<Handle> = vec![
        Box::new(device.clone()),
        Box::new(device),
        Box::new(context.alloc_pinned::<u8>(10)?),
        Box::new(plain),
        Box::new(sync),
        Box::new(buffer),
        Box::new(view),
        Box::new(foreign),
        Box::new(upload),
        Box::new(download),
        Box::new(acl.clone()),
    ];
    if model {
        let model = Model::load(&context, "examples/assets/digits/digits.onnx")?;
        let (inputs, outputs) = (model.create_inputs()?, model.create_outputs()?);
        model.execute_async(&streams[0], &inputs, &outputs)?;
        model.execute_async(&streams[1], &inputs, &outputs)?;
        handles.extend([Box::new(model) as Handle, Box::new(inputs), Box::new(outputs)]);
    }
    handles.extend([Box::new(context) as Handle, Box::new(second)]);
    handles.extend(streams.map(|stream| Box::new(stream) as Handle));
    handles.extend(callbacks.into_iter().map(|callback| Box::new(callback) as Handle));
    Ok((handles, gate, host_gate))
}

backend_test! {
    fn dropped_in_random_orders_with_work_pending(acl) {
        let model = support::is_simulator(acl);
        let mut random = Random::new(7);
        let ran = Arc::new(AtomicUsize::new(0));
        let rounds = support::rounds(150);
        for round in 0..rounds {
            let (mut handles, gate, host_gate) = everything(acl, &ran, model && round % 5 == 0)?;
            random.shuffle(&mut handles);
            // The gates are opened somewhere in between.
            let at = random.below(handles.len() + 1);
            let rest = handles.split_off(at);
            drop(handles);
            gate.open()?;
            let opened = host_gate.open();
            drop(rest);
            opened.wait()?;
            if round % 10 == 0 {
                support::until(|| ran.load(Ordering::SeqCst) == (round + 1) * 9);
            }
        }
        support::until(|| ran.load(Ordering::SeqCst) == rounds * 9);
    }
}

backend_test! {
    fn dropped_by_many_threads_at_once(acl) {
        let mut random = Random::new(8);
        let ran = Arc::new(AtomicUsize::new(0));
        let rounds = support::rounds(40);
        for _ in 0..rounds {
            let (mut handles, gate, host_gate) = everything(acl, &ran, false)?;
            random.shuffle(&mut handles);
            std::thread::scope(|scope| {
                let mut parts = handles.into_iter();
                loop {
                    let part: Vec<_> = parts.by_ref().take(5).collect();
                    if part.is_empty() {
                        break;
                    }
                    scope.spawn(move || drop(part));
                }
                scope.spawn(move || gate.open().unwrap());
                scope.spawn(move || drop(host_gate.open()));
            });
        }
        support::until(|| ran.load(Ordering::SeqCst) == rounds * 9);
    }
}

backend_test! {
    fn dropped_inside_callbacks_in_random_orders(acl) {
        let mut random = Random::new(9);
        let ran = Arc::new(AtomicUsize::new(0));
        let elsewhere = acl.device(0)?.create_context()?.create_stream()?;
        let rounds = support::rounds(60);
        for round in 0..rounds {
            let (mut handles, gate, host_gate) = everything(acl, &ran, false)?;
            random.shuffle(&mut handles);
            let at = random.below(handles.len() + 1);
            let rest = handles.split_off(at);
            let first = elsewhere.launch_callback(move || drop(handles))?;
            if round % 2 == 0 {
                first.wait()?;
            }
            gate.open()?;
            drop(host_gate.open());
            elsewhere.launch_callback(move || drop(rest))?.wait()?;
        }
        support::until(|| ran.load(Ordering::SeqCst) == rounds * 9);
    }
}

backend_test! {
    fn dropped_by_a_thread_that_panics(acl) {
        let ran = Arc::new(AtomicUsize::new(0));
        for _ in 0..10 {
            let (handles, gate, host_gate) = everything(acl, &ran, false)?;
            // Named like those that may panic without a word.
            let thread = std::thread::Builder::new().name("ascendcl-test".into()).spawn(move || {
                let _handles = handles;
                panic!("on purpose");
            })?;
            assert!(thread.join().is_err());
            gate.open()?;
            host_gate.open().wait()?;
        }
        support::until(|| ran.load(Ordering::SeqCst) == 10 * 9);
    }
}
