//! A Rust that can compile for WebAssembly.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::package::Package;
use crate::run;

const TARGET: &str = "wasm32-unknown-unknown";
/// Relaxed SIMD may round differently on different machines, so it stays off.
const RUSTFLAGS: &str = "-C target-feature=+simd128,-relaxed-simd";

/// Debian's Rust, with the sources of its standard library and a linker for WebAssembly.
const DEBIAN_PACKAGES: [&str; 4] = ["rustc-web", "cargo-web", "rust-web-src", "lld-22"];
const DEBIAN_CARGO: &str = "/usr/bin/cargo";
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_STD_SOURCE: &str = "/usr/lib/rustlib/src/rust/library/Cargo.lock";
const DEBIAN_LINKER: &str = "/usr/bin/wasm-ld-22";

/// Where the compiler comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Toolchain {
    /// The cargo at hand; its rustup has the target.
    Rustup,
    /// Debian's packages, which build the standard library from its sources.
    Debian,
}

impl Toolchain {
    /// Installs what the machine lacks: the target by rustup, or else Debian's packages.
    pub fn find_or_install() -> Result<Self> {
        if rustup_has_target() {
            return Ok(Self::Rustup);
        }
        if debian_is_complete() {
            return Ok(Self::Debian);
        }
        if run(Command::new("rustup").args(["target", "add", TARGET])).is_ok() && rustup_has_target() {
            return Ok(Self::Rustup);
        }
        install_debian().with_context(|| {
            format!(
                "no Rust target {TARGET}: `rustup target add {TARGET}` failed, and so did Debian's packages"
            )
        })?;
        Ok(Self::Debian)
    }

    /// Compiles one package to a core module without symbols. `cargo rustc` builds the cdylib alone: link-time
    /// optimisation would be skipped if the same call also built the crate's rlib.
    pub(crate) fn compile(self, package: &Package, profile: &str) -> Result<PathBuf> {
        let target_dir = package.target.join("components");
        let mut cargo = match self {
            Self::Rustup => cargo(),
            Self::Debian => {
                let mut cargo = Command::new(DEBIAN_CARGO);
                cargo
                    .env("RUSTC", DEBIAN_RUSTC)
                    .env("RUSTC_BOOTSTRAP", "1")
                    .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", DEBIAN_LINKER)
                    // A cargo of rustup's leaves its own libraries there for what it runs.
                    .env_remove("LD_LIBRARY_PATH");
                cargo
            }
        };
        cargo
            .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS", RUSTFLAGS)
            // They would take the place of the target's flags.
            .env_remove("RUSTFLAGS")
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            .args(["rustc", "--lib", "--crate-type", "cdylib", "--manifest-path"])
            .arg(&package.manifest)
            .args(["--profile", profile, "--config", &format!("profile.{profile}.strip=true")])
            .args(["--target", TARGET, "--target-dir"])
            .arg(&target_dir);
        if self == Self::Debian {
            cargo.arg("-Zbuild-std=std,panic_abort");
        }
        run(&mut cargo).with_context(|| format!("cannot compile plugin {}", package.name))?;
        // Cargo's folder of the profile `dev` has another name.
        let folder = if profile == "dev" { "debug" } else { profile };
        Ok(target_dir.join(TARGET).join(folder).join(format!("{}.wasm", package.library)))
    }
}

/// The cargo that runs this program, or the one on the path.
pub(crate) fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
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
