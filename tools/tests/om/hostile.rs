//! Files that are cut, damaged or made to do harm: an error or a description, and nothing else.

use std::{
    fs::File,
    os::unix::fs::FileExt,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use ascendcl_tools::om::{Error, describe, describe_bytes, model::Content};
use proptest::prelude::*;

use super::build::{self, Om, Tensor, message};
use super::{DIGITS, full, image, om, tensor};

#[test]
fn an_om_file_cut_anywhere_is_refused() {
    let whole = full().file();
    for length in 0..whole.len() {
        let error = describe_bytes(whole[..length].to_vec()).expect_err("it is cut");
        assert!(!error.to_string().is_empty());
        if length >= 4 {
            assert!(matches!(error, Error::BadOm { .. }), "{length}: {error}");
        }
    }
}

#[test]
fn an_onnx_file_cut_anywhere_is_refused() {
    for length in 0..DIGITS.len() {
        if let Ok(content) = describe_bytes(DIGITS[..length].to_vec()) {
            panic!("{length} bytes are described: {content:?}");
        }
    }
}

#[test]
fn any_byte_may_be_any_other() {
    let whole = full().file();
    for at in 0..whole.len() {
        for byte in [0, 1, 2, 0x7f, 0x80, 0xff] {
            let mut bad = whole.clone();
            bad[at] = byte;
            let _ = describe_bytes(bad);
        }
    }
    // Of the other file the beginning and the end, where its structure is.
    for at in (0..2000).chain(DIGITS.len() - 2000..DIGITS.len()) {
        for byte in [0, 0x7f, 0xff] {
            let mut bad = DIGITS.to_vec();
            bad[at] = byte;
            let _ = describe_bytes(bad);
        }
    }
}

/// A length of a partition's entry that is a lie, in a container that is right.
#[test]
fn counts_in_a_description_are_not_believed() {
    let most = u32::MAX.to_le_bytes().to_vec();
    let mut head = tensor("x", 1, 0, 0, &[1]);
    head.name = String::new();
    for kind in 0..8 {
        for value in [vec![], vec![1], most.clone(), [most.clone(), most.clone()].concat(), vec![0xff; 64]] {
            let inout = build::inout(&[(kind, value)]);
            let _ = describe_bytes(Om { tables: vec![vec![(8, inout)]], ..Om::default() }.file());
        }
    }
    // Millions of lists of nothing.
    let many = [1_000_000u32.to_le_bytes().to_vec(), vec![0; 4_000_000]].concat();
    let model = om(Om { tables: vec![vec![(8, build::inout(&[(4, many)]))]], ..Om::default() }.file());
    assert_eq!(model.gears.dims.len(), 1_000_000);
    // More tensors than any model has.
    let tensors = vec![Tensor::default(); 5000];
    let inout = build::inout(&[(0, build::tensors(&tensors))]);
    let error = describe_bytes(Om { tables: vec![vec![(8, inout)]], ..Om::default() }.file()).unwrap_err();
    assert!(matches!(error, Error::TooMany { .. }), "{error}");
}

#[test]
fn more_than_any_model_has_is_refused() {
    let huge = vec![(8, vec![0; (16 << 20) + 1])];
    let error = describe_bytes(Om { tables: vec![huge], ..Om::default() }.file()).unwrap_err();
    assert!(matches!(error, Error::TooLarge { .. }), "{error}");

    let mut many = full().file();
    many[256..260].copy_from_slice(&u32::MAX.to_le_bytes());
    assert!(describe_bytes(many).unwrap_err().to_string().contains("4294967295 partitions"));

    let operators = (0..5000).fold(message(), |graph, _| graph.message(6, message().bytes(2, "Data")));
    let table = vec![(0, message().message(7, operators).0), (1, vec![0])];
    let error = describe_bytes(Om { tables: vec![table], ..Om::default() }.file()).unwrap_err();
    assert!(matches!(error, Error::TooMany { .. }), "{error}");

    let inputs = (0..5000).fold(message(), |graph, _| graph.message(11, message()));
    let file = message().int(1, 8).message(7, inputs.message(12, message())).message(8, message());
    assert!(matches!(describe_bytes(file.0).unwrap_err(), Error::TooMany { .. }));

    let axes = vec![1; 1000];
    let shape = message().message(33, message().message(3, message().bytes(1, axes)));
    let graph = message().message(7, message().message(6, shape.bytes(2, "Data")));
    let table = vec![(0, graph.0), (1, vec![0])];
    let error = describe_bytes(Om { tables: vec![table], ..Om::default() }.file()).unwrap_err();
    assert!(matches!(error, Error::TooMany { what: "axes", .. }), "{error}");
}

#[test]
fn other_files_are_told_apart() {
    let cases: [(&[u8], &str); 6] = [
        (b"", "it has 0 bytes"),
        (b"PK\x03\x04....", "ZIP"),
        (b"\x1f\x8b\x08\x00....", "gzip"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (b"this is fake om\n", "begins with the bytes"),
        (b"\x08\x07\x12\x00", "no graph"),
    ];
    for (file, expected) in cases {
        let text = describe_bytes(file.to_vec()).unwrap_err().to_string();
        assert!(text.contains(expected), "{text}");
    }
    assert!(matches!(describe(Path::new("/dev/zero")), Err(Error::NotAFile)));
}

/// A file of which 200 GiB are a hole: weights are passed over, not read.
#[test]
fn size_costs_nothing() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let path = folder.join(format!("huge-{}.om", std::process::id()));
    let hole = 200u64 << 30;
    let inout = build::inout(&[(0, build::tensors(&[image()]))]);
    let head = Om { tables: vec![vec![(8, inout), (1, Vec::new())]], ..Om::default() }.head(hole);
    let file = File::create(&path).unwrap();
    file.write_all_at(&head, 0).unwrap();
    if file.set_len(head.len() as u64 + hole).is_err() {
        // A file system without holes has no room for this.
        std::fs::remove_file(&path).unwrap();
        return;
    }
    // In a process whose memory is bounded.
    let script = "ulimit -v 1000000; exec \"$0\" --json \"$1\"";
    let started = Instant::now();
    let output =
        Command::new("sh").args(["-c", script, env!("CARGO_BIN_EXE_om-info")]).arg(&path).output().unwrap();
    let took = started.elapsed();
    std::fs::remove_file(&path).unwrap();
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told["memory"]["weight_bytes"], hole);
    assert_eq!(told["inputs"][0]["name"], "image");
    // Reading it would take minutes.
    assert!(took < Duration::from_secs(60), "{took:?}");
}

fn tensors() -> impl Strategy<Value = Vec<Tensor>> {
    let dims = || prop::collection::vec(-2i64..1000, 0..6);
    let ranges = prop::collection::vec((0i64..9, -1i64..9), 0..4);
    let tensor = ("[a-z:/äß_0-9]{0,20}", 1u64.., -1i32..60, -1i32..45, dims(), dims(), ranges);
    let tensor = tensor.prop_map(|(name, size, format, data_type, dims, dims_v2, ranges)| Tensor {
        name,
        size,
        format,
        data_type,
        dims,
        dims_v2,
        ranges,
    });
    prop::collection::vec(tensor, 0..5)
}

proptest! {
    #[test]
    fn what_was_written_is_read(
        inputs in tensors(),
        outputs in tensors(),
        batches in prop::collection::vec(any::<u64>(), 0..5),
        dims in prop::collection::vec(prop::collection::vec(any::<u64>(), 0..4), 0..4),
        wide: bool,
    ) {
        let inout = build::inout(&[
            (0, build::tensors(&inputs)),
            (1, build::tensors(&outputs)),
            (2, build::batches(&batches)),
            (3, build::lists(&dims)),
        ]);
        let model = om(Om { wide, tables: vec![vec![(1, vec![1, 2, 3]), (8, inout)]], ..Om::default() }.file());
        for (written, read) in [(&inputs, &model.inputs), (&outputs, &model.outputs)] {
            prop_assert_eq!(written.len(), read.len());
            for (written, read) in written.iter().zip(read) {
                prop_assert_eq!(&written.name, &read.name);
                prop_assert_eq!(&written.dims, &read.dims);
                prop_assert_eq!(&written.ranges, &read.ranges);
                prop_assert_eq!(Some(written.size), read.bytes);
                let v2 = Some(&written.dims_v2).filter(|v2| !v2.is_empty() && *v2 != &written.dims);
                prop_assert_eq!(v2, read.dims_v2.as_ref());
            }
        }
        prop_assert_eq!(batches, model.gears.batch);
        prop_assert_eq!(dims, model.gears.image_sizes);
    }

    #[test]
    fn anything_behind_the_magic_number_is_survived(mut bytes in prop::collection::vec(any::<u8>(), 0..2000), fit: bool) {
        let mut file = b"IMOD".to_vec();
        file.append(&mut bytes);
        if fit && file.len() > 300 {
            let length = file.len() as u64 - 256;
            file[184..192].copy_from_slice(&length.to_le_bytes());
            // A table that may be right.
            file[256..264].copy_from_slice(&2u64.to_le_bytes());
        }
        let _ = describe_bytes(file);
    }

    #[test]
    fn any_partitions_are_survived(
        parts in prop::collection::vec((0u32..12, prop::collection::vec(any::<u8>(), 0..300)), 1..8),
        dynamic: bool,
        kind in 0u8..6,
    ) {
        let file = Om { tables: vec![parts], unknown_shape: dynamic, model_type: kind, ..Om::default() }.file();
        let _ = describe_bytes(file);
    }

    #[test]
    fn any_changes_are_survived(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20)) {
        for whole in [full().file(), DIGITS[..4000].to_vec()] {
            let mut file = whole;
            for (at, byte) in &changes {
                let at = at.index(file.len());
                file[at] = *byte;
            }
            let _ = describe_bytes(file);
        }
    }

    #[test]
    fn anything_else_is_survived(bytes in prop::collection::vec(any::<u8>(), 0..500)) {
        if let Ok(content) = describe_bytes(bytes) {
            prop_assert!(matches!(content, Content::Onnx(_)));
        }
    }
}
