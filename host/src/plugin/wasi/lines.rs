//! What is written to standard output and error, line by line.

use super::super::bindings::log::Level;
use super::super::text::sanitised;

/// Longer lines are cut into several.
const MAX_LINE: usize = 1024;

/// The line that is being written.
#[derive(Debug)]
pub(in super::super) struct Lines {
    level: Level,
    line: Vec<u8>,
}

impl Default for Lines {
    fn default() -> Self {
        Self { level: Level::Info, line: Vec::new() }
    }
}

impl Lines {
    /// The lines that `bytes` complete, with their levels.
    pub fn write(&mut self, level: Level, bytes: &[u8]) -> Vec<(Level, String)> {
        let mut complete = Vec::new();
        if level != self.level {
            complete.extend(self.end());
            self.level = level;
        }
        for byte in bytes {
            if *byte != b'\n' {
                self.line.push(*byte);
            }
            if *byte == b'\n' || self.line.len() == MAX_LINE {
                complete.extend(self.end());
            }
        }
        complete
    }

    /// The line as far as it goes, unless it is blank.
    pub fn end(&mut self) -> Option<(Level, String)> {
        let line = std::mem::take(&mut self.line);
        let line = sanitised(String::from_utf8_lossy(&line).trim_end(), MAX_LINE);
        (!line.is_empty()).then_some((self.level, line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_put_together_and_cut() {
        let mut lines = Lines::default();
        assert_eq!(lines.write(Level::Info, b"one\ntw"), [(Level::Info, "one".to_owned())]);
        assert_eq!(lines.write(Level::Info, b"o\n\n\x1b[31m"), [(Level::Info, "two".to_owned())]);
        let mixed = lines.write(Level::Warn, &[b'x'; 2 * MAX_LINE + 1]);
        assert_eq!(mixed.len(), 3);
        assert!(mixed.iter().all(|(_, line)| !line.contains('\x1b') && line.len() <= MAX_LINE), "{mixed:?}");
        assert_eq!(lines.end(), Some((Level::Warn, "x".to_owned())));
        assert_eq!(lines.end(), None);
    }
}
