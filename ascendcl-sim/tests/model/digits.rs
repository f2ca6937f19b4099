//! The digit classifier of the examples, on its test images.

use std::fs::{self, File};
use std::io::BufReader;
use std::ptr;

use crate::acl::{Context, Dataset, Memory, Model, Stream, acl, assets, c_path, floats, text, to_floats};

/// Bytes of an image and of the answer, as the model wants them.
pub const IMAGE: usize = 64 * 4;
pub const ANSWER: usize = 10 * 4;

/// All test images as the model wants them, with their labels.
pub fn images() -> Vec<(Vec<u8>, usize)> {
    let mut files: Vec<_> =
        fs::read_dir(assets().join("images")).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    let image = |file: std::path::PathBuf| {
        let mut reader = png::Decoder::new(BufReader::new(File::open(&file).unwrap())).read_info().unwrap();
        let mut pixels = [0; 64];
        let info = reader.next_frame(&mut pixels).unwrap();
        assert_eq!((info.width, info.height, info.color_type), (8, 8, png::ColorType::Grayscale), "{file:?}");
        let label = file.file_stem().unwrap().to_str().unwrap().split('_').nth(1).unwrap().parse().unwrap();
        (floats(&pixels.map(|pixel| f32::from(pixel) / 255.0)), label)
    };
    files.into_iter().map(image).collect()
}

/// Loads the classifier from its file.
pub fn load() -> Model {
    let path = c_path(assets().join("digits.onnx"));
    let mut id = 0;
    assert_eq!(acl!(aclmdlLoadFromFile(path.as_ptr(), &mut id)), 0, "{}", text());
    Model(id)
}

fn best(answer: &[u8]) -> usize {
    let probabilities = to_floats(answer);
    assert!((probabilities.iter().sum::<f32>() - 1.0).abs() < 1e-4, "{probabilities:?}");
    (0..10).max_by(|&a, &b| probabilities[a].total_cmp(&probabilities[b])).unwrap()
}

#[test]
fn classifies_the_test_part_at_once_and_on_a_stream() {
    let context = Context::new(0);
    let images = images();
    assert_eq!(images.len(), 599);
    let model = load();

    let (image, answer) = (Memory::new(IMAGE), Memory::new(ANSWER));
    let (input, output) = (Dataset::of(&[&image]), Dataset::of(&[&answer]));
    let at_once: Vec<Vec<u8>> = images
        .iter()
        .map(|(bytes, _)| {
            image.write(bytes);
            assert_eq!(acl!(aclmdlExecute(model.0, input.raw, output.raw)), 0, "{}", text());
            answer.read()
        })
        .collect();
    drop((input, output));
    let right = images.iter().zip(&at_once).filter(|((_, label), answer)| best(answer) == *label).count();
    let accuracy = right as f64 / images.len() as f64;
    println!("{right} of {} right: {accuracy:.4}", images.len());
    assert!(accuracy > 0.97, "{accuracy}");

    // All images queued on one stream, each with memory of its own.
    let stream = Stream::new();
    let answers: Vec<Memory> = images.iter().map(|_| Memory::new(ANSWER)).collect();
    let queued: Vec<_> = images
        .iter()
        .zip(&answers)
        .map(|((bytes, _), answer)| {
            let image = Memory::new(IMAGE);
            image.write(bytes);
            let (input, output) = (Dataset::of(&[&image]), Dataset::of(&[answer]));
            assert_eq!(acl!(aclmdlExecuteAsync(model.0, input.raw, output.raw, stream.0)), 0, "{}", text());
            (image, input, output)
        })
        .collect();
    assert_eq!(stream.synchronize(), 0, "{}", text());
    for (answer, at_once) in answers.iter().zip(&at_once) {
        assert_eq!(&answer.read(), at_once);
    }
    drop((queued, answers, stream, model, image, answer));
    drop(context);
}

#[test]
fn four_devices_agree() {
    let images: Vec<_> = images().into_iter().take(60).collect();
    let classify = |device: i32| -> Vec<Vec<u8>> {
        let context = Context::new(device);
        let model = load();
        let answers =
            images.iter().map(|(bytes, _)| model.run(&[bytes], &[ANSWER]).unwrap().remove(0)).collect();
        drop(model);
        drop(context);
        answers
    };
    let answers: Vec<_> = std::thread::scope(|scope| {
        let thread = |device: i32| {
            let name = format!("device {device}");
            let classify = &classify;
            std::thread::Builder::new().name(name).spawn_scoped(scope, move || classify(device)).unwrap()
        };
        let threads: Vec<_> = (0..4).map(thread).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(answers.iter().all(|device| device == &answers[0]));
}

#[test]
fn an_output_without_memory_gets_some() {
    let context = Context::new(1);
    let (bytes, _) = images().remove(0);
    let model = load();
    let image = Memory::new(IMAGE);
    image.write(&bytes);
    let (input, output) = (Dataset::of(&[&image]), Dataset::new(&[(ptr::null_mut(), 0)]));

    assert_eq!(acl!(aclmdlExecute(model.0, input.raw, output.raw)), 0, "{}", text());
    let buffer = acl!(aclmdlGetDatasetBuffer(output.raw, 0));
    let size = acl!(aclGetDataBufferSizeV2(buffer));
    let answer = Memory(acl!(aclGetDataBufferAddr(buffer)), size);
    assert_eq!(size, ANSWER);
    assert_eq!(answer.read(), model.run(&[&bytes], &[ANSWER]).unwrap()[0]);
    drop((answer, input, output, image, model));
    drop(context);
}
