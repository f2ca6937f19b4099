//! Programs as parts of what a property tries, and how they are made smaller.
//!
//! `proptest_state_machine` takes out operations in one pass from the back. It also counts which operations a test has seen, to take
//! out all others at once, and takes the count for nought when another part of what is tried is made smaller first. Here the count may
//! be left out, and is handed over when this part's turn comes; and there are more passes, until nothing can be taken out any more.

use crate::{generate::Kind, model::Model, operation::Step};
use proptest::{
    strategy::{BoxedStrategy, NewTree, Strategy, ValueTree},
    test_runner::TestRunner,
};
use proptest_state_machine::Sequential;
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

type Inner = Sequential<Model, Step, BoxedStrategy<Model>, BoxedStrategy<Step>>;

/// A program that is tried.
#[derive(Clone, Debug)]
pub struct Trial {
    pub model: Model,
    pub steps: Vec<Step>,
    /// How many steps were done when it failed; 0 if nobody knows.
    pub done: Arc<AtomicUsize>,
}

#[derive(Debug)]
pub struct Trials(pub Kind, pub Inner);

pub struct Tree {
    kind: Kind,
    inner: <Inner as Strategy>::Tree,
    done: Arc<AtomicUsize>,
    /// Until it is made smaller for the first time.
    count: Option<Arc<AtomicUsize>>,
    /// When the library is done with it.
    rest: Option<Rest>,
}

/// What is left of a program, of which more is taken out.
struct Rest {
    model: Model,
    steps: Vec<Step>,
    /// Before this one nothing was tried in this pass.
    at: usize,
    /// What was taken out last, from where.
    taken: Option<(usize, Step)>,
    /// Something was taken out in this pass.
    smaller: bool,
}

impl Strategy for Trials {
    type Tree = Tree;
    type Value = Trial;

    fn new_tree(&self, runner: &mut TestRunner) -> NewTree<Self> {
        let inner = self.1.new_tree(runner)?;
        let count = inner.current().2;
        Ok(Tree { kind: self.0, inner, done: Arc::default(), count, rest: None })
    }
}

impl Rest {
    /// Takes out one more. False if there is none that can be taken out, after a pass that took out nothing.
    fn take_out(&mut self, kind: Kind) -> bool {
        loop {
            if self.at == 0 {
                if !std::mem::take(&mut self.smaller) {
                    return false;
                }
                self.at = self.steps.len();
                continue;
            }
            self.at -= 1;
            let step = self.steps.remove(self.at);
            if kind.makes_sense(&self.model, &self.steps) {
                self.taken = Some((self.at, step));
                return true;
            }
            self.steps.insert(self.at, step);
        }
    }
}

impl ValueTree for Tree {
    type Value = Trial;

    fn current(&self) -> Trial {
        let done = self.done.clone();
        match &self.rest {
            Some(Rest { model, steps, .. }) => Trial { model: model.clone(), steps: steps.clone(), done },
            None => {
                let (model, steps, _) = self.inner.current();
                Trial { model, steps, done }
            }
        }
    }

    fn simplify(&mut self) -> bool {
        if let Some(count) = self.count.take() {
            let done = self.done.load(Ordering::SeqCst);
            count.store(if done == 0 { usize::MAX } else { done }, Ordering::SeqCst);
        }
        if self.rest.is_none() {
            if self.inner.simplify() {
                return true;
            }
            let (model, steps, _) = self.inner.current();
            let at = steps.len();
            self.rest = Some(Rest { model, steps, at, taken: None, smaller: false });
        }
        let Some(rest) = &mut self.rest else { return false };
        // It failed without what was taken out last, which stays out.
        rest.smaller |= rest.taken.take().is_some();
        rest.take_out(self.kind)
    }

    fn complicate(&mut self) -> bool {
        let Some(rest) = &mut self.rest else { return self.inner.complicate() };
        let Some((at, step)) = rest.taken.take() else { return false };
        rest.steps.insert(at, step);
        rest.take_out(self.kind)
    }
}
