//! What an instance looks like: the JSON of `aclmdlRIDebugJsonPrint`, which trace viewers open.

use std::fmt::Write as _;

use super::Instance;
use super::node::Step;

impl Instance {
    /// One event for each task, one row for each stream.
    pub(crate) fn to_json(&self) -> String {
        let process = std::process::id();
        let mut events = Vec::new();
        for member in self.members() {
            let stream = member.stream.id();
            for (time, node) in member.lane.nodes().iter().enumerate() {
                let kind = node.type_name();
                let mut event = String::new();
                let name = match node.step() {
                    Step::Signal { dependency, .. } | Step::Await { dependency, .. } => {
                        format!("{kind}_{dependency}")
                    }
                    Step::Record { event, .. } | Step::Wait { event, .. } | Step::Reset { event } => {
                        event.id().map_or_else(|| kind.clone(), |id| format!("{kind}_{id}"))
                    }
                    Step::Task(task) if task.is_kernel() => task.operation().to_owned(),
                    _ => kind.clone(),
                };
                // Writing to a string cannot fail.
                let _ = write!(
                    event,
                    "{{\"name\":\"{name}\",\"pid\":\"{process} aclGraph\",\"tid\":\"stream{stream}\",\"ts\":{time},\"dur\":1,\
                     \"ph\":\"X\",\"args\":{{\"Model Id\":{},\"Stream Id\":{stream},\"Task Id\":{},\"Task Type\":\"{kind}\"",
                    self.id(),
                    node.index,
                );
                if let Step::Activate { stream, .. } = node.step() {
                    let _ = write!(event, ",\"Active Stream Id\":{stream}");
                }
                if let Some(text) = &*node.extended.lock() {
                    let _ = write!(event, ",\"ExtendInfo\":\"{}\"", escape(text));
                }
                event.push_str("}}");
                events.push(event);
            }
        }
        format!("[\n{}\n]", events.join(",\n"))
    }
}

/// A text as it stands between the quotes of JSON.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '"' | '\\' => escaped.extend(['\\', letter]),
            '\n' => escaped.push_str("\\n"),
            '\r' => escaped.push_str("\\r"),
            '\t' => escaped.push_str("\\t"),
            '\0'..'\u{20}' => {
                // Writing to a string cannot fail.
                let _ = write!(escaped, "\\u{:04x}", u32::from(letter));
            }
            _ => escaped.push(letter),
        }
    }
    escaped
}
