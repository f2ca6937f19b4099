//! The section `dump` of a configuration file: which combinations the runtime takes. Anything else is 100009.

use std::ffi::CString;
use std::path::Path;

use ascendcl_sys::{self as sys, aclError};

use super::json::Value;
use crate::error::fail;

type Checked = Result<(), String>;

const TEXTS: &[&str] = &[
    "dump_path",
    "dump_mode",
    "dump_op_switch",
    "dump_level",
    "dump_scene",
    "dump_data",
    "dump_debug",
    "dump_kernel_data",
    "dump_step",
];
const SWITCH: &[&str] = &["on", "off"];
const CHOICES: &[(&str, &[&str])] = &[
    ("dump_mode", &["input", "output", "all"]),
    ("dump_data", &["tensor", "stats"]),
    ("dump_op_switch", SWITCH),
    ("dump_level", &["op", "kernel", "all"]),
    ("dump_debug", SWITCH),
    (
        "dump_scene",
        &["lite_exception", "aic_err_brief_dump", "aic_err_norm_dump", "aic_err_detail_dump", "watcher"],
    ),
];
const KERNEL_DATA: &[&str] = &["all", "printf", "tensor", "assert", "timestamp"];
const STATISTICS: &[&str] = &["Max", "Min", "Avg", "Nan", "Negative Inf", "Positive Inf", "L2norm"];
const LONGEST_PATH: usize = 512;
const MOST_STEPS: usize = 100;
const MOST_BLACKLISTED: usize = 100;

/// Checks the section `dump` of a configuration (100009).
pub(crate) fn check(config: &Value) -> Result<(), aclError> {
    let Some(section) = config.get("dump") else { return Ok(()) };
    let result = match section {
        Value::Object(members) if members.is_empty() => Ok(()),
        Value::Object(_) => Section(section).check(),
        _ => Err("dump is no object".into()),
    };
    result.map_err(|why| {
        fail(sys::ACL_ERROR_INVALID_DUMP_CONFIG, format_args!("the configuration of dumps is invalid: {why}"))
    })
}

struct Section<'a>(&'a Value);

fn ensure(good: bool, why: impl FnOnce() -> String) -> Checked {
    if good { Ok(()) } else { Err(why()) }
}

fn is_text(value: &Value, key: &str) -> Checked {
    ensure(matches!(value.get(key), None | Some(Value::String(_))), || format!("{key} is no string"))
}

fn items<'a>(value: &'a Value, what: &str) -> Result<&'a [Value], String> {
    match value {
        Value::Array(items) => Ok(items),
        _ => Err(format!("{what} is no array")),
    }
}

fn texts<'a>(value: Option<&'a Value>, what: &str) -> Result<Vec<&'a str>, String> {
    let Some(value) = value else { return Ok(Vec::new()) };
    items(value, what)?
        .iter()
        .map(|item| match item {
            Value::String(text) => Ok(text.as_str()),
            _ => Err(format!("{what} has a member that is no string")),
        })
        .collect()
}

fn objects<'a>(value: Option<&'a Value>, what: &str) -> Result<&'a [Value], String> {
    let Some(value) = value else { return Ok(&[]) };
    let items = items(value, what)?;
    ensure(items.iter().all(|item| matches!(item, Value::Object(_))), || {
        format!("{what} has a member that is no object")
    })?;
    Ok(items)
}

fn one_of(text: &str, choices: &[&str], what: &str) -> Checked {
    ensure(choices.contains(&text), || format!("{what} \"{text}\" is not one of {}", choices.join(", ")))
}

impl<'a> Section<'a> {
    fn text(&self, key: &str) -> Option<&'a str> {
        match self.0.get(key) {
            Some(Value::String(text)) => Some(text),
            _ => None,
        }
    }

    /// An empty text stands for the default too.
    fn or(&self, key: &str, default: &'a str) -> &'a str {
        self.text(key).filter(|text| !text.is_empty()).unwrap_or(default)
    }

    fn check(&self) -> Checked {
        self.types()?;
        self.values()?;
        let scene = self.text("dump_scene").unwrap_or_default();
        if !scene.is_empty() {
            self.scene(scene)?;
            if scene != "watcher" {
                return Ok(());
            }
        }
        self.path()?;
        if self.or("dump_debug", "off") == "on" {
            return ensure(self.text("dump_op_switch") != Some("on"), || {
                "dump_op_switch must not be on with dump_debug on".into()
            });
        }
        self.steps()?;
        self.list(scene)?;
        self.statistics()
    }

    fn types(&self) -> Checked {
        TEXTS.iter().try_for_each(|key| is_text(self.0, key))?;
        texts(self.0.get("dump_stats"), "dump_stats")?;
        for item in objects(self.0.get("dump_list"), "dump_list")? {
            is_text(item, "model_name")?;
            texts(item.get("layer"), "layer")?;
            texts(item.get("watcher_nodes"), "watcher_nodes")?;
            for key in ["optype_blacklist", "opname_blacklist"] {
                for entry in objects(item.get(key), key)? {
                    is_text(entry, "name")?;
                    texts(entry.get("pos"), "pos")?;
                }
            }
            for range in objects(item.get("opname_range"), "opname_range")? {
                is_text(range, "begin")?;
                is_text(range, "end")?;
            }
        }
        Ok(())
    }

    fn values(&self) -> Checked {
        for (key, choices) in CHOICES {
            if let Some(text) = self.text(key) {
                one_of(text, choices, key)?;
            }
        }
        if let Some(data) = self.text("dump_kernel_data") {
            data.split(',').try_for_each(|data| one_of(data, KERNEL_DATA, "dump_kernel_data"))?;
        }
        let statistics = texts(self.0.get("dump_stats"), "dump_stats")?;
        statistics.iter().try_for_each(|name| one_of(name, STATISTICS, "dump_stats"))
    }

    fn scene(&self, scene: &str) -> Checked {
        for key in ["dump_debug", "dump_op_switch"] {
            ensure(self.text(key) != Some("on"), || format!("{key} must not be on with a dump_scene"))?;
        }
        ensure(scene != "watcher" || self.or("dump_mode", "output") == "output", || {
            "dump_mode must be output with the dump_scene watcher".into()
        })
    }

    fn path(&self) -> Checked {
        let path = self.text("dump_path").ok_or("dump_path is missing")?;
        ensure(!path.is_empty(), || "dump_path is empty".into())?;
        ensure(path.len() <= LONGEST_PATH, || "dump_path is longer than 512 bytes".into())?;
        if let Some((host, rest)) = path.split_once(':')
            && !rest.is_empty()
            && host.split('.').count() == 4
            && host.split('.').all(|part| part.parse::<u8>().is_ok())
        {
            let plain = |c: char| c.is_ascii_alphanumeric() || "/_.-~".contains(c);
            return ensure(rest.chars().all(plain), || {
                format!("dump_path \"{rest}\" has characters that no path may have")
            });
        }
        ensure(Path::new(path).is_dir(), || format!("dump_path \"{path}\" is no directory"))?;
        let text = CString::new(path).map_err(|_| "dump_path has a NUL in it")?;
        // SAFETY: [text] a C string that lives beyond the call.
        let denied = unsafe { libc::access(text.as_ptr(), libc::R_OK | libc::W_OK) } != 0;
        ensure(!denied, || format!("dump_path \"{path}\" cannot be read and written"))
    }

    fn steps(&self) -> Checked {
        let steps = self.or("dump_step", "");
        if steps.is_empty() {
            return Ok(());
        }
        ensure(steps.split('|').count() <= MOST_STEPS, || "dump_step has more than 100 ranges".into())?;
        for range in steps.split('|') {
            let ends: Vec<_> = range.split('-').collect();
            let number = |text: &str| {
                let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
                digits.then(|| text.parse().unwrap_or(u64::MAX))
            };
            let ends: Option<Vec<u64>> =
                if ends.len() > 2 { None } else { ends.into_iter().map(number).collect() };
            ensure(ends.is_some_and(|ends| ends[0] <= ends[ends.len() - 1]), || {
                format!("dump_step \"{range}\" is neither a number nor a range of numbers")
            })?;
        }
        Ok(())
    }

    fn list(&self, scene: &str) -> Checked {
        let level = self.or("dump_level", "all");
        let by_list = self.or("dump_op_switch", "off") == "off";
        for item in objects(self.0.get("dump_list"), "dump_list")? {
            let model = Section(item).text("model_name");
            let empty = |key: &str| matches!(item.get(key), Some(Value::Array(items)) if items.is_empty());
            let count = |key: &str| match item.get(key) {
                Some(Value::Array(items)) => items.len(),
                _ => 0,
            };
            ensure(!by_list || (model != Some("") && !empty("layer")), || {
                "model_name or layer is empty".into()
            })?;
            if scene == "watcher" {
                ensure(count("watcher_nodes") > 0, || "watcher_nodes is missing or empty".into())?;
                ensure(model.is_none(), || "model_name must not be set with the dump_scene watcher".into())?;
            } else {
                ensure(count("watcher_nodes") == 0, || "watcher_nodes needs the dump_scene watcher".into())?;
            }
            let names = ["optype_blacklist", "opname_blacklist"];
            for key in names {
                ensure(count(key) <= MOST_BLACKLISTED, || format!("{key} has more than 100 members"))?;
            }
            for key in [names[0], names[1], "opname_range"] {
                ensure(count(key) == 0 || level == "op", || format!("{key} needs the dump_level op"))?;
            }
            for range in objects(item.get("opname_range"), "opname_range")? {
                ensure(model.is_some_and(|name| !name.is_empty()), || {
                    "opname_range needs a model_name".into()
                })?;
                let end = |key| Section(range).text(key).is_some_and(|text| !text.is_empty());
                ensure(end("begin") && end("end"), || "opname_range lacks begin or end".into())?;
            }
        }
        Ok(())
    }

    fn statistics(&self) -> Checked {
        if self.0.get("dump_stats").is_none() {
            return Ok(());
        }
        ensure(!texts(self.0.get("dump_stats"), "dump_stats")?.is_empty(), || "dump_stats is empty".into())?;
        ensure(self.or("dump_data", "tensor") != "tensor", || "dump_stats needs the dump_data stats".into())
    }
}

#[cfg(test)]
mod tests {
    use super::super::json;
    use super::*;

    fn checked(dump: &str) -> bool {
        check(&json::parse(&format!("{{\"dump\": {dump}}}")).unwrap()).is_ok()
    }

    #[test]
    fn good_sections() {
        for dump in [
            "{}",
            "{\"dump_scene\": \"lite_exception\"}",
            "{\"dump_path\": \"/tmp\", \"dump_mode\": \"all\", \"dump_list\": [{\"model_name\": \"a\"}]}",
            "{\"dump_path\": \"/tmp\", \"dump_step\": \"0|3-5|7\", \"dump_op_switch\": \"on\"}",
            "{\"dump_path\": \"/tmp\", \"dump_stats\": [\"Max\"], \"dump_data\": \"stats\"}",
            "{\"dump_path\": \"127.0.0.1:/any/where\"}",
            "{\"dump_path\": \"/tmp\", \"dump_debug\": \"on\"}",
        ] {
            assert!(checked(dump), "{dump}");
        }
    }

    #[test]
    fn bad_sections() {
        for dump in [
            "[]",
            "{\"dump_mode\": \"all\"}",
            "{\"dump_path\": \"/no/such/place\"}",
            "{\"dump_path\": \"/tmp\", \"dump_mode\": \"both\"}",
            "{\"dump_path\": \"/tmp\", \"dump_step\": \"5-3\"}",
            "{\"dump_path\": \"/tmp\", \"dump_step\": \"1-2-3\"}",
            "{\"dump_path\": \"/tmp\", \"dump_list\": {}}",
            "{\"dump_path\": \"/tmp\", \"dump_list\": [{\"model_name\": \"\"}]}",
            "{\"dump_path\": \"/tmp\", \"dump_list\": [{\"watcher_nodes\": [\"a\"]}]}",
            "{\"dump_path\": \"/tmp\", \"dump_stats\": [\"Max\"]}",
            "{\"dump_path\": \"/tmp\", \"dump_debug\": \"on\", \"dump_op_switch\": \"on\"}",
            "{\"dump_scene\": \"lite_exception\", \"dump_debug\": \"on\"}",
            "{\"dump_path\": \"/tmp\", \"dump_scene\": \"watcher\", \"dump_list\": [{}]}",
        ] {
            assert!(!checked(dump), "{dump}");
        }
    }
}
