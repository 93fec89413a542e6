//! The projects that `plugin new` writes. To add a language, add its files under `templates/` and its lines here.

/// A project for one language and one kind of plugin.
#[derive(Debug)]
pub struct Template {
    pub language: &'static str,
    pub kind: &'static str,
    /// Paths in the project, and texts in which `{{name}}`, `{{Type}}` and `{{sdk}}` stand for what the user chose.
    pub files: &'static [(&'static str, &'static str)],
    /// What to type next, in the project.
    pub commands: &'static [&'static str],
}

macro_rules! rust {
    ($kind:literal) => {
        Template {
            language: "rust",
            kind: $kind,
            files: &[
                ("Cargo.toml", include_str!("templates/rust/Cargo.toml.in")),
                ("README.md", include_str!("templates/rust/README.md.in")),
                (".gitignore", include_str!("templates/rust/gitignore.in")),
                ("src/lib.rs", include_str!(concat!("templates/rust/", $kind, "/lib.rs.in"))),
                (
                    "config.schema.json",
                    include_str!(concat!("templates/rust/", $kind, "/config.schema.json.in")),
                ),
                ("cases.yaml", include_str!(concat!("templates/rust/", $kind, "/cases.yaml.in"))),
            ],
            commands: &["cargo test", "sluicebox plugin build", "sluicebox plugin test cases.yaml"],
        }
    };
}

pub const TEMPLATES: &[Template] = &[rust!("filter"), rust!("transform"), rust!("aggregate")];
