//! The model of how transfers and callbacks end.

use crate::{
    model::{Fate, Model, Owner},
    operation::{Collect, Finish, Id, Patience},
};

impl Model {
    pub fn finish(&mut self, id: Id, how: Finish) {
        let transfer = &self.transfers[&id];
        let (stream, node) = (transfer.stream, transfer.node);
        let stuck = node.is_some_and(|node| self.order.is_blocked(node));
        match how {
            Finish::WaitTimeout(_) if stuck => {}
            Finish::Wait | Finish::WaitTimeout(_) | Finish::Await => {
                if how == Finish::Await {
                    self.enqueue_waker(stream);
                }
                if let Some(node) = node {
                    self.order.host_learns(node);
                }
                self.end_transfer(id, Owner::Program);
            }
            Finish::Poll | Finish::Cancel => {
                self.enqueue_waker(stream);
                if how == Finish::Cancel {
                    self.end_transfer(id, Owner::Gone);
                } else {
                    self.transfers.get_mut(&id).expect("the operation was checked").polled = true;
                }
            }
            Finish::IsDone => {}
            Finish::Drop => self.end_transfer(id, Owner::Gone),
            Finish::Forget => {
                self.forgotten += 1;
                self.transfers.get_mut(&id).expect("the operation was checked").fate = Fate::Forgotten;
            }
        }
    }

    pub fn collect(&mut self, id: Id, how: Collect) {
        if how == Collect::WaitTimeout(Patience::Short) {
            return;
        }
        let callback = self.callbacks.get_mut(&id).expect("the operation was checked");
        callback.open = false;
        let (node, gives) = (callback.node, callback.gives);
        if how != Collect::Drop {
            self.order.host_learns(node);
        }
        if let Some(pinned) = gives {
            let owner = if how == Collect::Drop { Owner::Gone } else { Owner::Program };
            self.pinned.get_mut(&pinned).expect("a transfer has memory").owner = owner;
        }
    }
}
