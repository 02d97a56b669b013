//! The client core as wasm: a build inside the build.
//!
//! It has a folder of its own in the target folder, because the outer build holds the lock of that one; all profiles and
//! `cargo clippy` share it, so that the client is built once. Its bytes depend on nothing but the sources, `Cargo.lock` and
//! the compiler: what the outer build is told with flags and variables stays outside, and folders are named alike everywhere.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

const TARGET: &str = "wasm32-unknown-unknown";
const PACKAGE: &str = "momedo-client-browser";

/// What came of it.
pub(crate) struct Compiled {
    /// The module, not bound to JavaScript yet.
    pub(crate) wasm: PathBuf,
    /// All that it was made of and that may change.
    pub(crate) sources: BTreeSet<PathBuf>,
}

/// The folder that cargo names in a variable.
pub(crate) fn folder(variable: &str) -> Result<PathBuf> {
    std::env::var_os(variable).map(PathBuf::from).with_context(|| format!("cargo did not set {variable}"))
}

/// Compiles what stands in `root`; `out` is where this build script may write.
pub(crate) fn compile(root: &Path, out: &Path) -> Result<Compiled> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let library = printed(&rustc, &["--print", "target-libdir", "--target", TARGET])?;
    ensure!(
        Path::new(&library).is_dir(),
        "the client for browsers needs Rust's target {TARGET}: run `rustup target add {TARGET}`, or build a server \
         without it with `--no-default-features`"
    );
    let kept = kept(out).join("web-client");
    let flags = [
        (root.to_path_buf(), "/momedo"),
        (kept.clone(), "/target"),
        (cargo_home()?, "/cargo"),
        (printed(&rustc, &["--print", "sysroot"])?.into(), "/rust"),
    ]
    // The last that fits counts, and the target folder is mostly in the source folder.
    .map(|(path, name)| format!("--remap-path-prefix={}={name}", path.display()));

    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (name, _) in std::env::vars_os().filter(|(name, _)| !is_inherited(name)) {
        cargo.env_remove(name);
    }
    cargo
        .current_dir(root)
        .args(["build", "--locked", "--package", PACKAGE, "--profile", "web", "--target", TARGET])
        .arg("--target-dir")
        .arg(&kept)
        .env("RUSTC", &rustc)
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"));
    let status = cargo.status().with_context(|| format!("cannot start {cargo:?}"))?;
    ensure!(status.success(), "the client for browsers cannot be built; cargo says above why");

    let wasm = kept.join(TARGET).join("web").join(format!("{}.wasm", PACKAGE.replace('-', "_")));
    let mut sources = listed(&wasm.with_extension("d"))?;
    sources.extend(manifests(&sources, root));
    sources.extend([root.join("Cargo.toml"), root.join("Cargo.lock")]);
    Ok(Compiled { wasm, sources })
}

/// Where this build keeps what it made: the target folder, or the build folder apart from it. Cargo marks either when it
/// makes it, and notes about the compiler what it found.
fn kept(out: &Path) -> &Path {
    let is_root =
        |folder: &&Path| ["CACHEDIR.TAG", ".rustc_info.json"].iter().any(|file| folder.join(file).is_file());
    out.ancestors().skip(1).find(is_root).unwrap_or(out)
}

/// Whether the inner build may see a variable of the outer one: all that is not about how the outer one builds.
fn is_inherited(name: &OsString) -> bool {
    let Some(name) = name.to_str() else { return true };
    // Where libraries come from, how much may run at once, what is printed.
    let passed_on =
        ["CARGO_HOME", "CARGO_HTTP_", "CARGO_MAKEFLAGS", "CARGO_NET_", "CARGO_REGISTR", "CARGO_TERM_"];
    let kept_back = ["CARGO", "CLIPPY_", "DEP_", "RUSTC", "RUSTDOC", "RUSTFLAGS"];
    let of_scripts = ["DEBUG", "HOST", "NUM_JOBS", "OPT_LEVEL", "OUT_DIR", "PROFILE", "TARGET"];
    let begins = |prefixes: &[&str]| prefixes.iter().any(|prefix| name.starts_with(prefix));
    begins(&passed_on) || !(begins(&kept_back) || of_scripts.contains(&name))
}

fn cargo_home() -> Result<PathBuf> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    home.or_else(|| Some(std::env::home_dir()?.join(".cargo"))).context("there is no home folder")
}

fn printed(rustc: &OsString, arguments: &[&str]) -> Result<String> {
    let output = Command::new(rustc).args(arguments).output().context("cannot start rustc")?;
    if !output.status.success() {
        bail!("rustc {arguments:?}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8(output.stdout).context("rustc prints no UTF-8")?.trim_end().to_owned())
}

/// The sources that cargo noted beside what it made, as Make reads them: `made: source source`, spaces with a backslash.
fn listed(path: &Path) -> Result<BTreeSet<PathBuf>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let (_, sources) = text.lines().next().and_then(|line| line.split_once(": ")).unwrap_or_default();
    let sources = sources.replace("\\ ", "\0");
    Ok(sources.split_whitespace().map(|source| source.replace('\0', " ").into()).collect())
}

/// The manifests of the packages that `sources` belong to.
fn manifests(sources: &BTreeSet<PathBuf>, root: &Path) -> BTreeSet<PathBuf> {
    let of = |source: &PathBuf| {
        let folders = source.ancestors().skip(1).take_while(|folder| folder.starts_with(root));
        folders.map(|folder| folder.join("Cargo.toml")).find(|manifest| manifest.is_file())
    };
    sources.iter().filter_map(of).collect()
}
