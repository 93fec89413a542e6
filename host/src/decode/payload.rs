//! One payload, parsed: simd-json's tape, and the text of its numbers.

use serde::de::IgnoredAny;
use simd_json::{Buffers, ErrorType, INPUT_PADDING, Node, Tape};

/// Parses payloads one at a time into memory that it keeps.
pub(super) struct PayloadParser {
    buffers: Buffers,
    /// A copy of the payload, for simd-json unescapes strings in place.
    copy: Vec<u8>,
    tape: Tape<'static>,
    max_depth: usize,
    max_bytes: usize,
}

/// A parsed payload. The nodes are in pre-order; objects alternate keys and values.
pub(super) struct Document<'p> {
    pub nodes: &'p [Node<'p>],
    pub numbers: NumberTexts<'p>,
}

impl PayloadParser {
    pub(super) fn new(max_depth: usize, max_bytes: usize) -> Self {
        Self {
            buffers: Buffers::with_max_depth(4096, max_depth),
            copy: Vec::new(),
            tape: Tape(Vec::new()),
            max_depth,
            max_bytes,
        }
    }

    /// Hands the payload's one JSON object to `visit`, or gives the reason why there is none.
    pub(super) fn parse<R>(
        &mut self,
        payload: Option<&[u8]>,
        visit: impl FnOnce(Document<'_>) -> Result<R, String>,
    ) -> Result<R, String> {
        let payload = payload.ok_or("tombstone")?;
        if payload.is_empty() {
            return Err("the payload is empty".to_owned());
        }
        if payload.len() > self.max_bytes {
            let (size, limit) = (payload.len(), self.max_bytes);
            return Err(format!(
                "the payload has {size} bytes, more than `max_record_bytes` ({limit}) allows"
            ));
        }
        self.copy.clear();
        self.copy.extend_from_slice(payload);
        self.copy.resize(payload.len() + INPUT_PADDING, b' ');
        let mut tape = std::mem::replace(&mut self.tape, Tape(Vec::new())).reset();
        let parsed = simd_json::fill_tape_padded(&mut self.copy, payload.len(), &mut self.buffers, &mut tape);
        let result = match parsed {
            Ok(()) if matches!(tape.0.first(), Some(Node::Object { .. })) => {
                let numbers = NumberTexts::new(payload, self.buffers.structural_indexes());
                visit(Document { nodes: &tape.0, numbers })
            }
            Ok(()) => {
                Err(format!("the payload is {}, not an object", tape.0.first().map_or("nothing", kind)))
            }
            Err(error) => Err(diagnose(payload, &error, self.max_depth)),
        };
        self.tape = tape.reset();
        result
    }
}

/// What a node is, for messages.
pub(super) fn kind(node: &Node<'_>) -> &'static str {
    match node {
        Node::String(_) => "a string",
        Node::Object { .. } => "an object",
        Node::Array { .. } => "a list",
        Node::Static(simd_json::StaticNode::Null) => "null",
        Node::Static(simd_json::StaticNode::Bool(_)) => "a boolean",
        Node::Static(_) => "a number",
    }
}

/// The index of the node after the value at `at`.
pub(super) fn after(nodes: &[Node<'_>], at: usize) -> usize {
    match nodes.get(at) {
        Some(Node::Object { count, .. } | Node::Array { count, .. }) => at + 1 + count,
        _ => at + 1,
    }
}

/// The reason, in words that help whoever wrote the payload. The parser itself says little; serde_json
/// says more, and where it sees nothing wrong, the parser's own kind of error decides.
#[cold]
fn diagnose(payload: &[u8], error: &simd_json::Error, max_depth: usize) -> String {
    if *error.error() == ErrorType::DepthLimitExceeded {
        return format!("nested deeper than `max_depth` ({max_depth}) allows");
    }
    if let Err(error) = std::str::from_utf8(payload) {
        return format!("invalid UTF-8 at byte {}", error.valid_up_to());
    }
    let mut documents = serde_json::Deserializer::from_slice(payload).into_iter::<IgnoredAny>();
    match documents.next() {
        None => return "the payload holds nothing but blanks".to_owned(),
        Some(Err(error)) => return format!("not JSON: {error}"),
        Some(Ok(_)) => {}
    }
    let end = documents.byte_offset();
    match documents.next() {
        Some(Ok(_)) => return format!("several documents: the second starts after byte {end}"),
        Some(Err(_)) => return format!("trailing bytes after the document, which ends at byte {end}"),
        None => {}
    }
    match error.error() {
        ErrorType::InvalidUnicodeCodepoint | ErrorType::InvalidUnicodeEscape | ErrorType::InvalidUtf8 => {
            "half of a surrogate pair in a string (`\\ud800` to `\\udfff` come in twos)".to_owned()
        }
        ErrorType::InvalidNumber | ErrorType::InvalidExponent | ErrorType::Overflow => {
            let before = payload.get(..error.index()).unwrap_or_default();
            let start = before.iter().rposition(|byte| !is_number_byte(*byte)).map_or(0, |last| last + 1);
            format!("the number at byte {start} is beyond 64 bits: send it as a string")
        }
        _ => format!("not JSON: {error}"),
    }
}

/// Finds the text of a number, which the tape has only as a rounded value.
///
/// The parser's structural indexes point at every token of the payload; without closing brackets, commas
/// and colons they correspond to the nodes one to one. The search goes on from the last one, so that
/// looking for numbers in order is linear.
pub(super) struct NumberTexts<'p> {
    payload: &'p [u8],
    tokens: &'p [u32],
    node: usize,
    token: usize,
}

impl<'p> NumberTexts<'p> {
    fn new(payload: &'p [u8], tokens: &'p [u32]) -> Self {
        Self { payload, tokens, node: 0, token: 0 }
    }

    /// The text of the number at `node`.
    pub(super) fn text(&mut self, node: usize) -> &'p str {
        if node < self.node {
            (self.node, self.token) = (0, 0);
        }
        while let Some(position) = self.tokens.get(self.token) {
            let rest = self.payload.get(*position as usize..).unwrap_or_default();
            if !matches!(rest.first(), Some(b'}' | b']' | b',' | b':') | None) {
                if self.node == node {
                    let end = rest.iter().position(|byte| !is_number_byte(*byte)).unwrap_or(rest.len());
                    return rest
                        .get(..end)
                        .and_then(|text| std::str::from_utf8(text).ok())
                        .unwrap_or_default();
                }
                self.node += 1;
            }
            self.token += 1;
        }
        ""
    }
}

fn is_number_byte(byte: u8) -> bool {
    byte.is_ascii_digit() || matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(payload: &[u8]) -> String {
        PayloadParser::new(8, 1000).parse(Some(payload), |_| Ok(())).unwrap_err()
    }

    #[test]
    fn every_bad_payload_has_its_reason() {
        assert_eq!(PayloadParser::new(8, 9).parse(None, |_| Ok(())), Err("tombstone".to_owned()));
        for (payload, expected) in [
            (&b""[..], "the payload is empty"),
            (b"  \n", "the payload holds nothing but blanks"),
            (b"null", "the payload is null, not an object"),
            (b"[1]", "the payload is a list, not an object"),
            (b"5", "the payload is a number, not an object"),
            (b"{\"a\": nope}", "not JSON: expected"),
            (b"{\"a\": NaN}", "not JSON: expected value at line 1 column 7"),
            (b"{\"a\": Infinity}", "not JSON: expected value"),
            (b"{\"a\": 1", "not JSON: EOF while parsing"),
            (b"{\"a\": 01}", "not JSON: invalid number"),
            (b"{\"a\": \"\x01\"}", "not JSON: control character"),
            (b"{'a': 1}", "not JSON: key must be a string"),
            (b"{\"a\": 1,}", "not JSON: key must be a string at line 1 column 9"),
            (b"{\"a\":1}{\"a\":2}", "several documents: the second starts after byte 7"),
            (b"{\"a\":1} x", "trailing bytes after the document, which ends at byte 7"),
            (b"{\"a\": \"\xff\"}", "invalid UTF-8 at byte 7"),
            (b"{\"a\": \"\\ud800\"}", "half of a surrogate pair"),
            (b"{\"a\": \"\\udc00x\"}", "half of a surrogate pair"),
            (b"{\"a\": 18446744073709551616}", "the number at byte 6 is beyond 64 bits"),
            (b"{\"a\": -9223372036854775809}", "the number at byte 6 is beyond 64 bits"),
            (b"{\"a\": 1e309}", "the number at byte 6 is beyond 64 bits"),
            (b"{\"a\":[[[[[[[[1]]]]]]]]}", "nested deeper than `max_depth` (8)"),
        ] {
            let found = reason(payload);
            assert!(found.starts_with(expected), "{}: {found}", String::from_utf8_lossy(payload));
        }
        assert!(reason(&[b' '; 1001]).contains("more than `max_record_bytes` (1000)"));
    }

    #[test]
    fn numbers_keep_their_text() {
        let payload =
            br#" {"a,:[" : [1.50 , {"b\"":-0e1}], "c": 12345678901234567890, "d":1.000000000000000000001} "#;
        let mut parser = PayloadParser::new(8, 1000);
        let found = parser.parse(Some(payload), |mut document| {
            let numbers: Vec<usize> =
                (0..document.nodes.len()).filter(|at| kind(&document.nodes[*at]) == "a number").collect();
            let forward: Vec<&str> = numbers.iter().map(|at| document.numbers.text(*at)).collect();
            let backward: Vec<&str> = numbers.iter().rev().map(|at| document.numbers.text(*at)).collect();
            assert!(forward.iter().eq(backward.iter().rev()));
            Ok(forward.join(" "))
        });
        assert_eq!(found.as_deref(), Ok("1.50 -0e1 12345678901234567890 1.000000000000000000001"));
    }
}
