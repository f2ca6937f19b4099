//! What the simulator says of races in programs on the safe layer: the places are those of the program, however deep the layers below are.

mod support;

use ascendcl::{Acl, BackendChoice};
use ascendcl_sim::{Config, ReportKind, Reporting};

sim_test! {
    fn each_race_is_reported_with_the_lines_of_the_program() {
        ascendcl_sim::configure(Config::new().races(Reporting::Log))?;
        ascendcl_sim::take_reports();
        let acl = Acl::builder().backend(BackendChoice::Sim).build()?;
        let mut lines = Vec::new();
        {
            let context = acl.device(0)?.create_context()?;
            let (first, second) = (context.create_stream()?, context.create_stream()?);
            let buffer = context.alloc::<u32>(16)?;
            lines.push(line!() + 1);
            first.memset(&buffer, 1)?;
            lines.push(line!() + 1);
            second.memset(&buffer, 2)?;
            context.synchronize()?;
            let other = context.alloc::<u32>(32)?;
            lines.push(line!() + 1);
            first.memset(&other, 1)?;
            lines.push(line!() + 1);
            second.memset(&other, 2)?;
            context.synchronize()?;
        }
        let reports = ascendcl_sim::take_reports();
        let races: Vec<&str> =
            reports.iter().filter(|report| report.kind == ReportKind::Race).map(|report| &*report.text).collect();
        assert_eq!(races.len(), 2, "{races:#?}");
        for (race, lines) in races.iter().zip(lines.chunks(2)) {
            for line in lines {
                assert!(race.contains(&format!("races.rs:{line}:")), "line {line}: {race}");
            }
        }
        assert!(acl.finalize()?);
    }
}
