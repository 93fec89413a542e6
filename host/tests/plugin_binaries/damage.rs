//! Components with damage: in their bytes, or in their sections, at any depth, whose lengths are made to fit again.

use super::dice::Dice;

/// A section of a component or of a core module.
#[derive(Clone)]
struct Section {
    id: u8,
    content: Vec<u8>,
}

const HEADER: usize = 8;
/// Sections of a component that hold a module or a component.
const NESTED: [u8; 2] = [1, 4];

/// One of the sound components, or parts of two, damaged in one to four places; now and then as it is.
pub fn damaged(seed: u64, sound: &[Vec<u8>]) -> Vec<u8> {
    let mut dice = Dice::new(seed);
    let mut bytes = sound[dice.below(sound.len())].clone();
    let other = &sound[dice.below(sound.len())];
    if dice.below(50) == 0 {
        return bytes;
    }
    for _ in 0..=dice.below(4) {
        bytes = match dice.below(3) {
            0 => in_bytes(&mut dice, bytes),
            _ => in_sections(&mut dice, &bytes, other, 0).unwrap_or(bytes),
        };
    }
    bytes
}

fn in_bytes(dice: &mut Dice, mut bytes: Vec<u8>) -> Vec<u8> {
    if bytes.is_empty() {
        return bytes;
    }
    let at = dice.below(bytes.len());
    let end = (at + dice.below(64)).min(bytes.len());
    match dice.below(6) {
        0 | 1 => bytes[at] ^= 1 << dice.below(8),
        2 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][dice.below(5)],
        3 => bytes.truncate(at),
        4 => drop(bytes.drain(at..end)),
        _ => {
            let copied = bytes[at..end].to_vec();
            bytes.splice(at..at, copied);
        }
    }
    bytes
}

/// None if these bytes have no sections.
fn in_sections(dice: &mut Dice, bytes: &[u8], other: &[u8], depth: usize) -> Option<Vec<u8>> {
    let is_component = bytes.get(4) == Some(&0x0d);
    let mut sections = sections(bytes)?;
    let others = self::sections(other)?;
    if sections.is_empty() {
        return None;
    }
    let at = dice.below(sections.len());
    let (another, foreign) = (dice.below(sections.len()), dice.below(others.len()));
    let is_nested = is_component && NESTED.contains(&sections[at].id);
    match dice.below(8) {
        0 => drop(sections.remove(at)),
        1 => sections.swap(at, another),
        2 => sections.insert(another, sections[at].clone()),
        3 => sections[at] = others.get(foreign)?.clone(),
        4 => sections.insert(at, others.get(foreign)?.clone()),
        5 => sections[at].id = dice.below(14) as u8,
        _ if is_nested && depth < 4 => {
            let inner = std::mem::take(&mut sections[at].content);
            sections[at].content = in_sections(dice, &inner, other, depth + 1).unwrap_or(inner);
        }
        _ => {
            let content = std::mem::take(&mut sections[at].content);
            sections[at].content = in_bytes(dice, content);
        }
    }
    Some(written(&bytes[..HEADER], &sections))
}

fn sections(bytes: &[u8]) -> Option<Vec<Section>> {
    let mut rest = bytes.get(HEADER..)?;
    let mut sections = Vec::new();
    while let Some((id, after)) = rest.split_first() {
        let (length, after) = length(after)?;
        let (content, after) = after.split_at_checked(length)?;
        sections.push(Section { id: *id, content: content.to_vec() });
        rest = after;
    }
    Some(sections)
}

/// LEB128, unsigned, 32 bits.
fn length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut value = 0;
    for (place, byte) in bytes.iter().enumerate().take(5) {
        value |= usize::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Some((value, &bytes[place + 1..]));
        }
    }
    None
}

fn written(header: &[u8], sections: &[Section]) -> Vec<u8> {
    let mut bytes = header.to_vec();
    for section in sections {
        bytes.push(section.id);
        let mut length = section.content.len();
        while length >= 0x80 {
            bytes.push((length & 0x7f) as u8 | 0x80);
            length >>= 7;
        }
        bytes.push(length as u8);
        bytes.extend(&section.content);
    }
    bytes
}

#[test]
fn sections_are_read_and_written() {
    let component = wat::parse_str("(component (core module (func (export \"f\"))) (component))").unwrap();
    let found = sections(&component).unwrap();
    assert_eq!(found.iter().filter(|section| NESTED.contains(&section.id)).count(), 2);
    assert_eq!(written(&component[..HEADER], &found), component);
    let long = vec![Section { id: 0, content: vec![1; 300] }];
    assert_eq!(sections(&written(&component[..HEADER], &long)).unwrap()[0].content.len(), 300);
}
