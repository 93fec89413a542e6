//! What a file is by its first bytes, told before the compiler speaks of it.

const COMPONENT: [u8; 8] = *b"\0asm\x0d\0\x01\0";
const CORE_MODULE: [u8; 8] = *b"\0asm\x01\0\0\0";

/// Says why these bytes are no component.
pub(super) fn check(bytes: &[u8]) -> Result<(), &'static str> {
    match bytes.first_chunk() {
        Some(&COMPONENT) => Ok(()),
        Some(&CORE_MODULE) => Err(
            "it is a core module: `sluicebox plugin build MODULE.wasm --out COMPONENT.wasm` makes a component of it",
        ),
        Some(start) if start.starts_with(b"\0asm") => Err("it is WebAssembly of another binary version"),
        _ => Err("it does not begin as WebAssembly does"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_told_apart() {
        assert_eq!(check(&wat::parse_str("(component)").unwrap()), Ok(()));
        assert!(check(&wat::parse_str("(module)").unwrap()).unwrap_err().contains("core module"));
        assert!(check(b"\0asm\x0c\0\x01\0").unwrap_err().contains("another binary version"));
        for other in [&b""[..], b"\0asm", b"#!/bin/sh\nexit", b"PAR1PAR1"] {
            assert!(check(other).unwrap_err().contains("does not begin"), "{other:?}");
        }
    }
}
