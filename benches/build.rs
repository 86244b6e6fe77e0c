//! Builds the BPF object of the floor.

use std::fs;
use std::path::Path;

use anyhow::Context as _;

/// Compiles netdrop-bench-ebpf with the pinned toolchain. `-Z build-std` is unstable, so that one build runs with
/// RUSTC_BOOTSTRAP.
#[expect(unsafe_code, reason = "the environment is set before any thread starts")]
fn main() -> anyhow::Result<()> {
    // Asked now: with a target folder that several clones share, this may have been compiled in another.
    let here = std::env::var_os("CARGO_MANIFEST_DIR").context("cargo names no folder")?;
    let root = Path::new(&here).parent().context("crate has no parent folder")?;
    for path in ["benches/ebpf", "netdrop-common", "rust-toolchain.toml"] {
        println!("cargo:rerun-if-changed={}", root.join(path).display());
    }
    let toolchain = pinned_toolchain(&root.join("rust-toolchain.toml"))?;
    // SAFETY: the build script has one thread here.
    unsafe { std::env::set_var("RUSTC_BOOTSTRAP", "1") };
    let ebpf = Path::new(&here).join("ebpf");
    let package = aya_build::Package {
        name: "netdrop-bench-ebpf",
        root_dir: ebpf.to_str().context("path of the workspace is not UTF-8")?,
        ..Default::default()
    };
    aya_build::build_ebpf([package], aya_build::Toolchain::Custom(&toolchain))
        .context("the BPF object does not build; `cargo xtask tools` installs what it needs")?;
    // With AYA_BUILD_SKIP=1 (cargo check in an editor) there is no object: leave an empty one, which does not load.
    let object = Path::new(&std::env::var("OUT_DIR")?).join("netdrop-bench-ebpf");
    if !object.exists() {
        fs::write(object, [])?;
    }
    Ok(())
}

fn pinned_toolchain(file: &Path) -> anyhow::Result<String> {
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    text.lines()
        .find_map(|l| l.trim().strip_prefix("channel"))
        .and_then(|l| l.split('"').nth(1))
        .map(str::to_owned)
        .with_context(|| format!("{} names no channel", file.display()))
}
