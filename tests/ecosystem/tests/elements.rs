//! Types of `half` and `bytemuck` as elements of device memory, arrays of `ndarray` in and out.

#[path = "../../support/mod.rs"]
mod support;

use ascendcl::{DataType, DeviceCopy, Error, Plain};
use bytemuck::{Pod, TransparentWrapper, Zeroable};
use half::{bf16, f16};
use ndarray::{Array, Array4, Axis, Ix2, ShapeBuilder, array, s};

backend_test! {
    fn half_precision_numbers_go_to_the_device_and_back(acl) {
        let context = acl.device(0)?.create_context()?;
        let stream = context.create_stream()?;
        let numbers: Vec<f16> = (0..1000).map(|number| f16::from_f32(number as f32 / 8.0)).collect();
        let there = context.alloc_from(&numbers)?;
        assert_eq!(there.byte_len(), 2000);
        assert_eq!(there.to_vec()?, numbers);
        let brains = [bf16::ONE, bf16::NEG_INFINITY, bf16::from_f32(3.5)];
        let download = stream.download(&*context.alloc_from(&brains)?, context.alloc_pinned(3)?)?;
        assert_eq!(download.wait()?[..], brains);
        assert_eq!((DataType::F16.size(), DataType::BF16.size()), (Some(size_of::<f16>()), Some(size_of::<bf16>())));
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Pod, Zeroable)]
#[repr(C)]
struct Detection {
    corners: [f32; 4],
    score: f32,
    class: u32,
}

backend_test! {
    fn what_bytemuck_calls_plain_is_an_element(acl) {
        fn is_element<T: DeviceCopy>() {}
        is_element::<Plain<Detection>>();
        is_element::<[Plain<Detection>; 3]>();
        let context = acl.device(0)?.create_context()?;
        let detections: Vec<Detection> =
            (0..100).map(|class| Detection { corners: [class as f32; 4], score: 0.5, class }).collect();
        let there = context.alloc_from(Plain::wrap_slice(&detections))?;
        let back = there.to_vec()?;
        assert_eq!(Plain::peel_slice(&back), detections);
        let pinned = context.alloc_pinned_from(Plain::wrap_slice(&detections))?;
        assert_eq!(Plain::peel_slice(&pinned[..])[7], detections[7]);
        // Its bytes are those of the values, and zeroed memory is a value.
        assert_eq!(there.as_bytes().to_vec()?, bytemuck::cast_slice::<_, u8>(&detections));
        assert_eq!(context.alloc_pinned::<Plain<Detection>>(1)?[0].0, Detection::zeroed());
        assert_eq!(bytemuck::bytes_of(&Plain(detections[1])), bytemuck::bytes_of(&detections[1]));
    }
}

backend_test! {
    fn arrays_of_any_order_go_to_the_device_and_back(acl) {
        let context = acl.device(0)?.create_context()?;
        let image = array![[1.0_f32, 2.0, 3.0], [4.0, 5.0, 6.0]];
        let there = context.alloc_from_array(&image)?;
        assert_eq!(there.to_vec()?, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        assert_eq!(there.to_array((2, 3))?, image);
        // Transposed, in another order, backwards, and in parts: as one reads them.
        assert_eq!(context.alloc_from_array(&image.t())?.to_vec()?, [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
        let mut columns = Array::zeros((2, 3).f());
        columns.assign(&image);
        assert_eq!(context.alloc_from_array(&columns)?.to_vec()?, there.to_vec()?);
        there.copy_from_array(&image.slice(s![.., ..;-1]))?;
        assert_eq!(there.to_array((2, 3))?, array![[3.0, 2.0, 1.0], [6.0, 5.0, 4.0]]);
        assert_eq!(there.to_array((3, 2).f())?, array![[3.0, 6.0], [2.0, 5.0], [1.0, 4.0]]);
        assert_eq!(context.alloc_from_array(&image.slice(s![1.., ..2]))?.to_vec()?, [4.0, 5.0]);
        // Nothing, and more dimensions.
        assert!(context.alloc_from_array(&Array4::<u8>::zeros((0, 1, 2, 3)))?.is_empty());
        let batch = Array::from_shape_fn((2, 1, 8, 8), |(n, _, y, x)| (n * 64 + y * 8 + x) as u16);
        let there = context.alloc_from_array(&batch)?;
        assert_eq!(there.to_array((2, 1, 8, 8))?.index_axis(Axis(0), 1)[[0, 7, 7]], 127);
    }
}

backend_test! {
    fn page_locked_memory_is_seen_and_filled_as_an_array(acl) {
        let context = acl.device(0)?.create_context()?;
        let stream = context.create_stream()?;
        let image = array![[1_i32, 2, 3], [4, 5, 6]];
        let mut pinned = context.alloc_pinned::<i32>(6)?;
        pinned.as_array_mut((2, 3))?.assign(&image);
        assert_eq!(pinned[..], [1, 2, 3, 4, 5, 6]);
        let there = context.alloc::<i32>(6)?;
        let pinned = stream.upload(pinned, &there)?.wait()?;
        assert_eq!(pinned.as_array((2, 3))?, image);
        assert_eq!(context.alloc_pinned_from_array(&image.t())?.as_array((3, 2))?, image.t());
        let back = stream.download(&there, context.alloc_pinned(6)?)?.wait()?;
        assert_eq!(back.as_array((3, 2))?.into_dimensionality::<Ix2>()?.sum(), 21);
        // A shape with less than the buffer sees its beginning.
        assert_eq!(pinned.as_array(4)?.to_vec(), [1, 2, 3, 4]);
    }
}

backend_test! {
    fn shapes_that_do_not_fit_are_refused(acl) {
        let context = acl.device(0)?.create_context()?;
        let mut pinned = context.alloc_pinned::<u8>(6)?;
        let there = context.alloc::<u8>(6)?;
        let errors = [
            pinned.as_array((2, 4)).map(drop).unwrap_err(),
            pinned.as_array_mut((7, 1)).map(drop).unwrap_err(),
            there.to_array((2, 2)).map(drop).unwrap_err(),
        ];
        for error in errors {
            assert!(matches!(&error, Error::Mismatch { what, .. } if what.contains("6 elements")), "{error:?}");
        }
        let error = there.copy_from_array(&array![1_u8, 2]).unwrap_err();
        assert!(matches!(error, Error::Length { .. }), "{error:?}");
    }
}
