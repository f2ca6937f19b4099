//! All kinds of copies and fills, on two devices and several streams.

use ascendcl::{Acl, MallocPolicy};

use super::super::lab::{Lab, Outcome, same};

pub fn run(lab: &Lab, acl: Acl) -> Outcome {
    let (first, second) = (acl.device(0)?, acl.device(1)?);
    first.enable_peer_access(&second)?;
    let (here, there) = (first.create_context()?, second.create_context()?);
    let numbers: Vec<u16> = (0..500).collect();

    lab.step("copies that wait");
    let a = here.alloc_from(&numbers)?;
    let b = here.alloc_with::<u16>(500, MallocPolicy::NormalOnly)?;
    b.copy_from(&a)?;
    let mut read = vec![0; 250];
    b.view(250..)?.copy_to_slice(&mut read)?;
    same("a part", &read, &numbers[250..])?;
    b.memset(1)?;
    b.view(..100)?.copy_from_slice(&numbers[..100])?;
    let expected: Vec<u16> = numbers[..100].iter().copied().chain([0x0101; 400]).collect();
    same("two parts", &b.to_vec()?, &expected)?;
    let far = there.alloc_from(&numbers)?;

    lab.step("copies that do not");
    let streams = [here.create_stream()?, here.create_stream()?, there.create_stream()?];
    let mut waiting = Vec::new();
    for (index, stream) in streams.iter().enumerate() {
        let context = stream.context().clone();
        let (from, to) = (context.alloc::<u16>(500)?, context.alloc::<u16>(500)?);
        let upload = stream.upload(context.alloc_pinned_from(&numbers)?, &from)?;
        stream.copy(&from, &to)?;
        stream.memset(&to.view(..10)?, index as u8)?;
        let download = stream.download(&to, context.alloc_pinned(500)?)?;
        if index != 1 {
            waiting.push(upload);
        }
        let fill = u16::from_ne_bytes([index as u8; 2]);
        let expected: Vec<u16> = [fill; 10].into_iter().chain(numbers[10..].iter().copied()).collect();
        same("what came back", &lab.get(download)?, &expected)?;
    }
    for upload in waiting {
        lab.get(upload)?;
    }
    lab.step("between devices");
    let target = here.alloc::<u16>(500)?;
    streams[0].copy(&far, &target)?;
    lab.sync(&streams[0])?;
    same("from the other device", &target.to_vec()?, &numbers)?;
    lab.sync_context(&here)?;
    lab.sync_context(&there)?;
    Ok(())
}
