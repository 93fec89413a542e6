//! Plugins from source to components: the WebAssembly target, the core modules, the encoding.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use wit_component::{ComponentEncoder, DecodedWasm};

const TARGET: &str = "wasm32-unknown-unknown";
const PROFILE: &str = "plugin";
/// Relaxed SIMD may round differently on different machines, so it stays off.
const RUSTFLAGS: &str = "-C target-feature=+simd128,-relaxed-simd";

/// Debian's Rust, with the sources of its standard library and a linker for WebAssembly.
const DEBIAN_PACKAGES: [&str; 4] = ["rustc-web", "cargo-web", "rust-web-src", "lld-22"];
const DEBIAN_CARGO: &str = "/usr/bin/cargo";
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_STD_SOURCE: &str = "/usr/lib/rustlib/src/rust/library/Cargo.lock";
const DEBIAN_LINKER: &str = "/usr/bin/wasm-ld-22";

/// The names of the standard plugins, sorted: each folder under `plugins/` except the SDK is a package of that name.
pub fn standard_plugins(root: &Path) -> Result<Vec<String>> {
    let folder = root.join("plugins");
    let mut names = Vec::new();
    for entry in fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name != "sdk" && entry.path().join("Cargo.toml").is_file() {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// Builds workspace packages of the workspace at `root` to components, `out/PACKAGE.wasm`. Installs what the
/// machine lacks for that. A component that is already up to date is not written again.
pub fn build(root: &Path, packages: &[&str], out: &Path) -> Result<()> {
    let toolchain = Toolchain::find_or_install()?;
    fs::create_dir_all(out).with_context(|| format!("cannot create {}", out.display()))?;
    for package in packages {
        let core = toolchain.compile(root, package)?;
        let component = encode(&core).with_context(|| format!("cannot make a component of {package}"))?;
        let path = out.join(format!("{package}.wasm"));
        if fs::read(&path).ok().as_deref() != Some(&component) {
            fs::write(&path, &component).with_context(|| format!("cannot write {}", path.display()))?;
        }
    }
    Ok(())
}

/// Turns a core module, which carries its world in a custom section, into a component.
pub fn encode(core: &Path) -> Result<Vec<u8>> {
    let module = fs::read(core).with_context(|| format!("cannot read {}", core.display()))?;
    let mut encoder = ComponentEncoder::default();
    encoder.validate(true).module(&module)?;
    let component = encoder.encode()?;
    // A module without the custom section encodes without complaint to a component that exports nothing.
    let DecodedWasm::Component(resolve, world) = wit_component::decode(&component)? else {
        bail!("the encoder gave something other than a component");
    };
    ensure!(
        !resolve.worlds[world].exports.is_empty(),
        "it exports nothing: it carries no world. Does a Rust crate call one of the SDK's export macros?"
    );
    Ok(component)
}

/// A Rust that can compile for WebAssembly.
enum Toolchain {
    /// The cargo that runs this program; its rustup has the target.
    Rustup,
    /// Debian's packages, which build the standard library from its sources.
    Debian,
}

impl Toolchain {
    fn find_or_install() -> Result<Toolchain> {
        if rustup_has_target() {
            return Ok(Toolchain::Rustup);
        }
        if debian_is_complete() {
            return Ok(Toolchain::Debian);
        }
        if run(Command::new("rustup").args(["target", "add", TARGET])).is_ok() && rustup_has_target() {
            return Ok(Toolchain::Rustup);
        }
        install_debian().with_context(|| {
            format!(
                "no Rust target {TARGET}: `rustup target add {TARGET}` failed, and so did Debian's packages"
            )
        })?;
        Ok(Toolchain::Debian)
    }

    /// Compiles one package to a core module. `cargo rustc` builds the cdylib alone: link-time optimisation
    /// would be skipped if the same call also built the crate's rlib.
    fn compile(&self, root: &Path, package: &str) -> Result<PathBuf> {
        let target_dir = root.join("target").join("components");
        let mut cargo = match self {
            Toolchain::Rustup => Command::new(env!("CARGO")),
            Toolchain::Debian => {
                let mut cargo = Command::new(DEBIAN_CARGO);
                cargo
                    .env("RUSTC", DEBIAN_RUSTC)
                    .env("RUSTC_BOOTSTRAP", "1")
                    .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", DEBIAN_LINKER)
                    // `cargo xtask` leaves rustup's libraries there.
                    .env_remove("LD_LIBRARY_PATH");
                cargo
            }
        };
        cargo
            .current_dir(root)
            .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS", RUSTFLAGS)
            // They would take the place of the target's flags.
            .env_remove("RUSTFLAGS")
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            .args(["rustc", "--package", package, "--lib", "--crate-type", "cdylib"])
            .args(["--profile", PROFILE, "--target", TARGET, "--target-dir"])
            .arg(&target_dir);
        if matches!(self, Toolchain::Debian) {
            cargo.arg("-Zbuild-std=std,panic_abort");
        }
        run(&mut cargo).with_context(|| format!("cannot compile plugin {package}"))?;
        Ok(target_dir.join(TARGET).join(PROFILE).join(format!("{}.wasm", package.replace('-', "_"))))
    }
}

fn rustup_has_target() -> bool {
    let mut rustc = Command::new("rustc");
    rustc.args(["--print", "target-libdir", "--target", TARGET]);
    let Ok(output) = rustc.stderr(Stdio::null()).output() else { return false };
    let folder = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    output.status.success() && has_standard_library(Path::new(&folder))
}

fn has_standard_library(folder: &Path) -> bool {
    let is_std = |name: &str| name.starts_with("libstd-");
    fs::read_dir(folder)
        .is_ok_and(|files| files.flatten().any(|file| file.file_name().to_str().is_some_and(is_std)))
}

fn debian_is_complete() -> bool {
    [DEBIAN_CARGO, DEBIAN_RUSTC, DEBIAN_LINKER, DEBIAN_STD_SOURCE].iter().all(|path| Path::new(path).exists())
}

fn install_debian() -> Result<()> {
    run(Command::new("apt-get").arg("update"))?;
    run(Command::new("apt-get")
        .env("DEBIAN_FRONTEND", "noninteractive")
        .args(["install", "--yes", "--no-install-recommends"])
        .args(DEBIAN_PACKAGES))?;
    ensure!(
        debian_is_complete(),
        "{} were installed, but not all of {DEBIAN_CARGO}, {DEBIAN_RUSTC}, {DEBIAN_LINKER} exist",
        DEBIAN_PACKAGES.join(", ")
    );
    Ok(())
}

fn run(command: &mut Command) -> Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let arguments =
        command.get_args().map(|argument| argument.to_string_lossy()).collect::<Vec<_>>().join(" ");
    let status = command.status().with_context(|| format!("cannot start `{program} {arguments}`"))?;
    ensure!(status.success(), "`{program} {arguments}` ended with {status}");
    Ok(())
}
