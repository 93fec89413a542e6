//! Instances whose memory has grown: WebAssembly memory never shrinks, so another instance takes their place.

use super::step::Step;

/// What became of an instance between two epochs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recycling {
    NotNeeded,
    /// It kept no state, and is gone: the next call starts another.
    Done,
    /// It keeps state, which is to be restored into a step that is opened anew.
    Needed,
}

impl Step {
    /// Looks at the memory of the instance; to be called where all its state has been handed over.
    pub fn recycle(&mut self) -> Recycling {
        let is_outgrown = self.instance.as_ref().is_some_and(|instance| {
            let settled = instance.settled_memory();
            instance.memory() >= outgrown_at(settled, self.limits.recycle_memory, self.limits.memory)
        });
        if !is_outgrown {
            return Recycling::NotNeeded;
        }
        if self.layout.is_some() {
            return Recycling::Needed;
        }
        self.drop_instance();
        Recycling::Done
    }
}

/// State that fills much of the memory by itself must not have its instance replaced again and again: at least half
/// of what it left free is used first.
fn outgrown_at(settled: usize, threshold: usize, limit: usize) -> usize {
    threshold.max(settled.midpoint(limit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_state_leaves_its_instance_room_to_grow() {
        assert_eq!(outgrown_at(2, 48, 64), 48);
        assert_eq!(outgrown_at(40, 48, 64), 52);
        assert_eq!(outgrown_at(64, 48, 64), 64);
    }
}
