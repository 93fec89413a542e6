//! A YAML document as a tree that remembers where each node stands and how each scalar is spelled.
//! Types are read from it later (see [`super::typed`]), after interpolation, so that an interpolated
//! value can never be anything but the one scalar it stands in.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Location, NonFiniteFloatPolicy, Spanned, UserMessageFormatter};

use super::error::{DocumentPath, Position, Problem, Segment};

#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    pub position: Position,
    pub content: Content,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    Null,
    Scalar(Scalar),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

#[derive(Clone, PartialEq)]
pub struct Scalar {
    pub text: String,
    /// On one line and without quotes: where no type is asked for, the text decides on one.
    pub plain: bool,
    /// The text before interpolation, where that changed it.
    pub written: Option<String>,
}

impl Scalar {
    /// What may be shown of it.
    pub fn written(&self) -> &str {
        self.written.as_deref().unwrap_or(&self.text)
    }
}

impl fmt::Debug for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.written().fmt(f)
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Key {
    pub name: String,
    pub position: Position,
}

impl Node {
    pub fn parse(text: &str) -> Result<Self, Problem> {
        // What a scalar means is decided later: `1e999` may be text.
        let options = serde_saphyr::options! {
            strict_booleans: true,
            with_snippet: false,
            non_finite_float_policy: NonFiniteFloatPolicy::PassThrough,
        };
        let parsed: Spanned<Parsed> =
            serde_saphyr::from_str_with_options(text, options).map_err(|error| Problem {
                path: DocumentPath::default(),
                position: error.location().map(position),
                message: message(&error),
            })?;
        Ok(Self::from_parsed(parsed, text))
    }

    fn from_parsed(parsed: Spanned<Parsed>, source: &str) -> Self {
        let spelling = spelling(parsed.defined, source);
        let content = match parsed.value {
            Parsed::Null => Content::Null,
            Parsed::Typed(value) => Content::Scalar(Scalar {
                text: spelling.map_or(value, str::to_owned),
                plain: true,
                written: None,
            }),
            Parsed::Text(text) => {
                // Quotes, block markers and folded lines all make the spelling another text.
                let plain = spelling == Some(text.as_str()) && !text.contains('\n');
                Content::Scalar(Scalar { text, plain, written: None })
            }
            Parsed::List(nodes) => {
                Content::List(nodes.into_iter().map(|node| Self::from_parsed(node, source)).collect())
            }
            Parsed::Map(entries) => Content::Map(
                entries
                    .into_iter()
                    .map(|(key, node)| {
                        let key = Key { name: key.value, position: position(key.referenced) };
                        (key, Self::from_parsed(node, source))
                    })
                    .collect(),
            ),
        };
        Self { position: position(parsed.referenced), content }
    }

    /// Where `path` stands, or the innermost part of it that the document has.
    pub fn position_of(&self, path: &DocumentPath) -> Position {
        let mut node = self;
        let mut position = self.position;
        for segment in &path.0 {
            let next = match (&node.content, segment) {
                (Content::Map(entries), Segment::Key(name)) => {
                    entries.iter().find(|(key, _)| key.name == *name).map(|(key, node)| (key.position, node))
                }
                (Content::List(nodes), Segment::Index(index)) => {
                    nodes.get(*index).map(|node| (node.position, node))
                }
                _ => None,
            };
            let Some((at, below)) = next else { return position };
            // A scalar is pointed at itself, a section by its key.
            position = if matches!(below.content, Content::Scalar(_)) { below.position } else { at };
            node = below;
        }
        position
    }

    /// Calls `change` on every scalar value, keys excepted, with its path and position.
    pub fn for_each_scalar(&mut self, change: &mut impl FnMut(&DocumentPath, Position, &mut Scalar)) {
        self.visit(&DocumentPath::default(), change);
    }

    fn visit(&mut self, path: &DocumentPath, change: &mut impl FnMut(&DocumentPath, Position, &mut Scalar)) {
        match &mut self.content {
            Content::Null => {}
            Content::Scalar(scalar) => change(path, self.position, scalar),
            Content::List(nodes) => {
                for (index, node) in nodes.iter_mut().enumerate() {
                    node.visit(&path.index(index), change);
                }
            }
            Content::Map(entries) => {
                for (key, node) in entries {
                    node.visit(&path.key(&key.name), change);
                }
            }
        }
    }
}

/// An empty document has no place of its own; its start stands for it.
fn position(location: Location) -> Position {
    Position { line: location.line().max(1), column: location.column().max(1) }
}

/// The parser's message without its own note of the place.
fn message(error: &serde_saphyr::Error) -> String {
    let text = error.without_snippet().render_with_formatter(&UserMessageFormatter);
    match text.rfind(" at line ") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}

/// A scalar as it stands in the file: `1.10`, which as a number would be `1.1`.
fn spelling(defined: Location, source: &str) -> Option<&str> {
    let start = usize::try_from(defined.span().byte_offset()?).ok()?;
    let length = usize::try_from(defined.span().byte_len()?).ok()?;
    source.get(start..start.checked_add(length)?)
}

/// What the parser gives: it has resolved anchors, merges and plain scalars.
enum Parsed {
    Null,
    /// A boolean or a number, with some spelling of it.
    Typed(String),
    Text(String),
    List(Vec<Spanned<Parsed>>),
    Map(Vec<(Spanned<String>, Spanned<Parsed>)>),
}

impl<'de> Deserialize<'de> for Parsed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyNode;

        impl<'de> Visitor<'de> for AnyNode {
            type Value = Parsed;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a YAML value")
            }

            fn visit_unit<E: Error>(self) -> Result<Parsed, E> {
                Ok(Parsed::Null)
            }

            fn visit_bool<E: Error>(self, value: bool) -> Result<Parsed, E> {
                Ok(Parsed::Typed(value.to_string()))
            }

            fn visit_i64<E: Error>(self, value: i64) -> Result<Parsed, E> {
                Ok(Parsed::Typed(value.to_string()))
            }

            fn visit_u64<E: Error>(self, value: u64) -> Result<Parsed, E> {
                Ok(Parsed::Typed(value.to_string()))
            }

            fn visit_f64<E: Error>(self, value: f64) -> Result<Parsed, E> {
                Ok(Parsed::Typed(value.to_string()))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Parsed, E> {
                Ok(Parsed::Text(text.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Parsed, A::Error> {
                let mut nodes = Vec::new();
                while let Some(node) = list.next_element()? {
                    nodes.push(node);
                }
                Ok(Parsed::List(nodes))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Parsed, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Parsed::Map(entries))
            }
        }

        deserializer.deserialize_any(AnyNode)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get<'a>(node: &'a Node, key: &str) -> &'a Node {
        let Content::Map(entries) = &node.content else { panic!("{node:?} is not a mapping") };
        &entries.iter().find(|(name, _)| name.name == key).unwrap().1
    }

    fn scalar<'a>(node: &'a Node, key: &str) -> (&'a str, bool) {
        let Content::Scalar(scalar) = &get(node, key).content else { panic!("{key} is not a scalar") };
        (&scalar.text, scalar.plain)
    }

    #[test]
    fn scalars_keep_their_spelling_and_their_quoting() {
        let text = "a: 1.10\nb: '1.10'\nc: 0x1F\nd: true\ne: yes\nf: |\n  one\n  two\ng: 1e400\nh: ~\ni: 123456789012345678901234567890\nü: \"ß\"\nj: 007\nk: |-\n  5\nl: >\n  ${X}\nm: ${X}\nn: '${X}'\no: |-\n  ${X}\n";
        let node = Node::parse(text).unwrap();
        assert_eq!(scalar(&node, "a"), ("1.10", true));
        assert_eq!(scalar(&node, "b"), ("1.10", false));
        assert_eq!(scalar(&node, "c"), ("0x1F", true));
        assert_eq!(scalar(&node, "d"), ("true", true));
        assert_eq!(scalar(&node, "e"), ("yes", true));
        assert_eq!(scalar(&node, "f"), ("one\ntwo\n", false));
        assert_eq!(scalar(&node, "g"), ("1e400", true));
        assert_eq!(scalar(&node, "i"), ("123456789012345678901234567890", true));
        assert_eq!(scalar(&node, "j"), ("007", true));
        assert_eq!(scalar(&node, "k"), ("5", false));
        assert_eq!(scalar(&node, "l"), ("${X}\n", false));
        assert_eq!(scalar(&node, "m"), ("${X}", true));
        assert_eq!(scalar(&node, "n"), ("${X}", false));
        assert_eq!(scalar(&node, "o"), ("${X}", false));
        assert_eq!(get(&node, "h").content, Content::Null);
    }

    #[test]
    fn aliases_have_the_value_of_their_anchor_and_their_own_place() {
        let node = Node::parse("a: &x 1.10\nb: *x\n").unwrap();
        assert_eq!(scalar(&node, "b"), ("1.10", true));
        assert_eq!(get(&node, "b").position, Position { line: 2, column: 4 });
    }

    #[test]
    fn a_path_is_found_and_a_missing_end_points_at_its_parent() {
        let node =
            Node::parse("layers:\n  silver:\n    steps:\n      - name: a\n        plugin: x\n").unwrap();
        let step = DocumentPath::default().key("layers").key("silver").key("steps").index(0);
        assert_eq!(step.to_string(), "layers.silver.steps[0]");
        assert_eq!(node.position_of(&step.key("plugin")), Position { line: 5, column: 17 });
        assert_eq!(node.position_of(&step.key("sha256")), Position { line: 4, column: 9 });
        assert_eq!(
            node.position_of(&DocumentPath::default().key("layers").key("silver")),
            Position { line: 2, column: 3 }
        );
    }

    #[test]
    fn broken_yaml_says_where() {
        for (text, line) in
            [("a: 1\nb: [1, 2\nc: 3\n", 3), ("a: 1\na: 2\n", 2), ("a: \"x\n", 1), ("a: 1\n---\nb: 2\n", 2)]
        {
            let problem = Node::parse(text).unwrap_err();
            assert!(problem.position.is_some_and(|position| position.line >= line), "{problem:?}");
            assert!(!problem.message.contains(" line "), "{problem:?}");
        }
    }
}
