//! What the tests of this module share: a table in a temporary folder, entries for it, a store that fails.
