//! Damaged files: none may crash, hang or get through as something that it is not.

use std::fs;

use crate::acl::{Context, Desc, Model, acl, assets, text};

/// Deterministic, so that a failing case can be found again.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end as u64) as usize
    }
}

/// Loads a file and, if that works, executes it. Says whether it loaded.
fn survives(file: &[u8]) -> bool {
    let Ok(model) = Model::load(file) else {
        let text = text();
        assert!(!text.is_empty() && !text.contains("panicked"), "{text}");
        return false;
    };
    let desc = Desc::new();
    assert_eq!(acl!(aclmdlGetDesc(desc.0, model.0)), 0);
    let inputs =
        (0..acl!(aclmdlGetNumInputs(desc.0))).map(|index| acl!(aclmdlGetInputSizeByIndex(desc.0, index)));
    let outputs =
        (0..acl!(aclmdlGetNumOutputs(desc.0))).map(|index| acl!(aclmdlGetOutputSizeByIndex(desc.0, index)));
    let (inputs, outputs): (Vec<usize>, Vec<usize>) = (inputs.collect(), outputs.collect());
    // A damaged shape may ask for more memory than there is.
    if inputs.iter().chain(&outputs).all(|&size| size < 1 << 24) {
        let zeros: Vec<Vec<u8>> = inputs.iter().map(|&size| vec![0; size]).collect();
        let zeros: Vec<&[u8]> = zeros.iter().map(Vec::as_slice).collect();
        let result = model.run(&zeros, &outputs);
        assert!(matches!(result, Ok(_) | Err(507011)), "{result:?}: {}", text());
        text();
    }
    true
}

#[test]
fn a_file_cut_short_is_refused() {
    let context = Context::new(0);
    let good = fs::read(assets().join("digits.onnx")).unwrap();
    assert!(survives(&good));
    for length in 1..good.len() {
        assert!(!survives(&good[..length]), "{length} bytes loaded");
    }
    drop(context);
}

#[test]
fn a_file_with_wrong_bytes_does_no_harm() {
    let context = Context::new(0);
    let good = fs::read(assets().join("digits.onnx")).unwrap();
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut loaded = 0;
    // All but the last kilobytes of the file is weights, which do no harm: most changes go to the structure around them.
    let structure = |random: &mut Random| match random.below(8) {
        0 => random.below(good.len()),
        1 => good.len() - 1 - random.below(200),
        _ => random.below(1400),
    };
    for _ in 0..3000 {
        let mut bad = good.clone();
        match random.below(3) {
            0 => {
                for _ in 0..=random.below(3) {
                    let at = structure(&mut random);
                    bad[at] ^= 1 << random.below(8);
                }
            }
            1 => {
                for _ in 0..=random.below(4) {
                    let at = structure(&mut random);
                    bad[at] = random.below(256) as u8;
                }
            }
            _ => {
                let (from, to) = (structure(&mut random), structure(&mut random));
                bad.drain(from.min(to)..from.max(to));
            }
        }
        loaded += usize::from(survives(&bad));
    }
    println!("{loaded} of 3000 damaged files still load");
    drop(context);
}
