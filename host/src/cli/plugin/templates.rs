//! The projects that `plugin new` writes. To add a language, add its files under `templates/` and its lines here.

/// A project for one language and one kind of plugin.
#[derive(Debug)]
pub struct Template {
    pub language: &'static str,
    pub kind: &'static str,
    /// The world of the contract that the plugin is built for.
    pub world: &'static str,
    /// Paths in the project, and texts in which `{{name}}`, `{{Type}}`, `{{sdk}}` and `{{world}}` stand for what the user
    /// chose.
    pub files: &'static [(&'static str, &'static str)],
    /// Whether bindings in C go beside them: their generator is no tool that authors have.
    pub needs_c_bindings: bool,
    /// What to type next, in the project.
    pub commands: &'static [&'static str],
}

/// The contract, which every project but those in Rust is built with.
pub const WIT: &str = include_str!("../../../../wit/plugin.wit");

macro_rules! rust {
    ($kind:literal, $world:literal) => {
        Template {
            language: "rust",
            kind: $kind,
            world: $world,
            files: &[
                ("Cargo.toml", include_str!("templates/rust/Cargo.toml.in")),
                ("README.md", include_str!("templates/rust/README.md.in")),
                (".gitignore", include_str!("templates/rust/gitignore.in")),
                ("src/lib.rs", include_str!(concat!("templates/rust/", $kind, "/lib.rs.in"))),
                (
                    "config.schema.json",
                    include_str!(concat!("templates/rust/", $kind, "/config.schema.json.in")),
                ),
                ("cases.yaml", include_str!(concat!("templates/cases/", $kind, ".yaml.in"))),
            ],
            needs_c_bindings: false,
            commands: &["cargo test", "sluicebox plugin build", "sluicebox plugin test cases.yaml"],
        }
    };
}

macro_rules! python {
    ($kind:literal, $world:literal) => {
        Template {
            language: "python",
            kind: $kind,
            world: $world,
            files: &[
                ("README.md", include_str!("templates/python/README.md.in")),
                (".gitignore", include_str!("templates/python/gitignore.in")),
                ("requirements.txt", include_str!("templates/python/requirements.txt.in")),
                ("src/logic.py", include_str!(concat!("templates/python/", $kind, "/logic.py.in"))),
                ("src/plugin.py", include_str!(concat!("templates/python/", $kind, "/plugin.py.in"))),
                ("test_plugin.py", include_str!(concat!("templates/python/", $kind, "/test_plugin.py.in"))),
                ("wit/plugin.wit", WIT),
                ("cases.yaml", include_str!(concat!("templates/cases/", $kind, ".yaml.in"))),
            ],
            needs_c_bindings: false,
            commands: SEE_README,
        }
    };
}

macro_rules! javascript {
    ($kind:literal, $world:literal) => {
        Template {
            language: "javascript",
            kind: $kind,
            world: $world,
            files: &[
                ("README.md", include_str!("templates/javascript/README.md.in")),
                (".gitignore", include_str!("templates/javascript/gitignore.in")),
                ("package.json", include_str!("templates/javascript/package.json.in")),
                ("build.js", include_str!("templates/javascript/build.js.in")),
                ("src/logic.js", include_str!(concat!("templates/javascript/", $kind, "/logic.js.in"))),
                ("src/plugin.js", include_str!(concat!("templates/javascript/", $kind, "/plugin.js.in"))),
                (
                    "plugin.test.js",
                    include_str!(concat!("templates/javascript/", $kind, "/plugin.test.js.in")),
                ),
                ("wit/plugin.wit", WIT),
                ("cases.yaml", include_str!(concat!("templates/cases/", $kind, ".yaml.in"))),
            ],
            needs_c_bindings: false,
            commands: &["npm install", "npm test", "npm run build", "sluicebox plugin test cases.yaml"],
        }
    };
}

macro_rules! c {
    ($kind:literal, $world:literal) => {
        Template {
            language: "c",
            kind: $kind,
            world: $world,
            files: &[
                ("README.md", include_str!("templates/c/README.md.in")),
                (".gitignore", include_str!("templates/c/gitignore.in")),
                ("requirements.txt", include_str!("templates/c/requirements.txt.in")),
                ("logic.h", include_str!(concat!("templates/c/", $kind, "/logic.h.in"))),
                ("settings.h", include_str!("templates/c/settings.h.in")),
                ("plugin.c", include_str!(concat!("templates/c/", $kind, "/plugin.c.in"))),
                ("test.c", include_str!(concat!("templates/c/", $kind, "/test.c.in"))),
                ("wit/plugin.wit", WIT),
                ("cases.yaml", include_str!(concat!("templates/cases/", $kind, ".yaml.in"))),
            ],
            needs_c_bindings: true,
            commands: SEE_README,
        }
    };
}

/// More commands than fit here.
const SEE_README: &[&str] = &["cat README.md    # how to test and build it"];

pub const TEMPLATES: &[Template] = &[
    rust!("filter", "transform-plugin"),
    rust!("transform", "transform-plugin"),
    rust!("aggregate", "aggregate-plugin"),
    python!("filter", "records-plugin"),
    python!("transform", "records-plugin"),
    python!("aggregate", "aggregate-plugin"),
    javascript!("filter", "records-plugin"),
    javascript!("transform", "records-plugin"),
    javascript!("aggregate", "aggregate-plugin"),
    c!("filter", "transform-plugin"),
    c!("transform", "transform-plugin"),
    c!("aggregate", "aggregate-plugin"),
];
