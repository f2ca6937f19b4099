//! What comes before what: the order that a program asks for, by streams, events and waits of the host. Written without looking at
//! the simulator's race detector, which is checked against it.

/// Operations, as bits.
pub type Set = u128;

/// One operation put into a stream, or done by the host.
pub type Node = usize;

/// More do not fit a [`Set`].
pub const MOST_NODES: usize = 120;

pub fn bit(node: Node) -> Set {
    1 << node
}

#[derive(Clone, Debug, Default)]
pub struct Order {
    /// What is done before each operation begins.
    before: Vec<Set>,
    /// What the host knows to be done.
    host: Set,
    /// Waits of streams for what nobody has recorded yet.
    unresolved: Set,
}

impl Order {
    pub fn is_full(&self) -> bool {
        self.before.len() >= MOST_NODES
    }

    /// An operation that the host enqueues now, behind `after` and all the host knows.
    pub fn push(&mut self, after: Set) -> Node {
        self.before.push(self.host | after);
        self.before.len() - 1
    }

    /// An operation that the host does now, by itself.
    pub fn push_host(&mut self) -> Node {
        let node = self.push(0);
        self.host |= bit(node);
        node
    }

    /// The operation and all that is done before it.
    pub fn closure(&self, node: Node) -> Set {
        self.before[node] | bit(node)
    }

    pub fn is_before(&self, first: Node, second: Node) -> bool {
        self.before[second] & bit(first) != 0
    }

    /// What an operation would come after that the host enqueues now, behind `after`.
    pub fn after_now(&self, after: Set) -> Set {
        self.host | after
    }

    pub fn host_learns(&mut self, node: Node) {
        self.host |= self.closure(node);
    }

    pub fn host_knows(&self, node: Node) -> bool {
        self.host & bit(node) != 0
    }

    /// The wait has nothing to wait for yet.
    pub fn leave_unresolved(&mut self, wait: Node) {
        self.unresolved |= bit(wait);
    }

    /// What the wait waits for has been enqueued.
    pub fn resolve(&mut self, wait: Node, record: Node) {
        let more = self.closure(record);
        for node in 0..self.before.len() {
            if self.closure(node) & bit(wait) != 0 {
                self.before[node] |= more;
            }
        }
        self.unresolved &= !bit(wait);
    }

    /// Whether something before it, or the operation itself, waits for what nobody has recorded: it cannot be done.
    pub fn is_blocked(&self, node: Node) -> bool {
        self.closure(node) & self.unresolved != 0
    }

    pub fn anything_unresolved(&self) -> bool {
        self.unresolved != 0
    }
}
