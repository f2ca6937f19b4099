//! Lanes: the tasks of one stream of a running instance, in order.

use std::sync::{Arc, Weak};

use ascendcl_sys::{self as sys, aclError};

use super::super::{Stream, last_task};
use super::Instance;
use super::node::{Node, Step};
use crate::check::Origin;
use crate::error::fail;
use crate::lock::Mutex;

#[derive(Default)]
pub(crate) struct Lane {
    instance: Mutex<Option<Weak<Instance>>>,
    nodes: Mutex<Vec<Arc<Node>>>,
}

impl Lane {
    pub(super) fn bind(&self, instance: &Arc<Instance>) {
        *self.instance.lock() = Some(Arc::downgrade(instance));
    }

    pub(super) fn unbind(&self) {
        *self.instance.lock() = None;
    }

    /// The instance that it is part of.
    pub(crate) fn instance(&self) -> Option<Arc<Instance>> {
        self.instance.lock().as_ref().and_then(Weak::upgrade)
    }

    pub(crate) fn is_bound(&self) -> bool {
        self.instance().is_some()
    }

    pub(super) fn is_of(&self, instance: &Arc<Instance>) -> bool {
        self.instance().is_some_and(|own| Arc::ptr_eq(&own, instance))
    }

    pub(crate) fn nodes(&self) -> Vec<Arc<Node>> {
        self.nodes.lock().clone()
    }

    pub(super) fn last(&self) -> Option<Arc<Node>> {
        self.nodes.lock().last().cloned()
    }

    /// Forgets all tasks.
    pub(crate) fn clear(&self) {
        let gone = std::mem::take(&mut *self.nodes.lock());
        drop(gone);
    }

    /// Adds a node; `stream` is where the program queued it.
    pub(super) fn add(self: &Arc<Self>, step: Step, stream: &Stream) -> Result<Arc<Node>, aclError> {
        let depth = stream.device().profile().stream_depth;
        let sequence = self.instance().map_or(0, |instance| instance.next_sequence());
        let mut nodes = self.nodes.lock();
        // The streams of a capture chain further ones behind a full one; a stream of the program is full when it is full.
        let chained = self.instance().is_some_and(|instance| instance.is_captured());
        if nodes.len() >= depth && !chained {
            drop(nodes);
            return Err(fail(
                sys::ACL_ERROR_RT_STREAM_TASK_FULL,
                format_args!("persistent stream {} holds {depth} tasks and takes no more", stream.id()),
            ));
        }
        let node = Arc::new(Node::new(self, nodes.len(), sequence, step, Origin::of_task()));
        nodes.push(Arc::clone(&node));
        last_task::note_node(stream.id(), &node);
        Ok(node)
    }
}
