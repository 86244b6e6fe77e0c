//! Builds the BPF object, and the protobuf types without protoc.

use std::fs;
use std::path::Path;

use anyhow::Context as _;

fn main() -> anyhow::Result<()> {
    protos()?;
    bpf()
}

/// Compiles the API's definitions with protox, a protobuf compiler in Rust: nothing to install.
fn protos() -> anyhow::Result<()> {
    println!("cargo:rerun-if-changed=proto");
    let files = protox::compile(["observer/observer.proto"], ["proto"])?;
    tonic_prost_build::configure().emit_rerun_if_changed(false).compile_fds(files.clone())?;
    // The server's side once more, for flows that are encoded already.
    let served = Path::new(&std::env::var("OUT_DIR")?).join("served");
    fs::create_dir_all(&served)?;
    tonic_prost_build::configure()
        .emit_rerun_if_changed(false)
        .build_client(false)
        .extern_path(".observer.GetFlowsResponse", "crate::agent::Encoded")
        .extern_path(".observer", "crate::proto::observer")
        .extern_path(".flow", "crate::proto::flow")
        .extern_path(".relay", "crate::proto::relay")
        .out_dir(served)
        .compile_fds(files)?;
    Ok(())
}

/// Compiles netdrop-ebpf with the pinned toolchain. `-Z build-std` is unstable, so that one build runs with RUSTC_BOOTSTRAP.
#[expect(unsafe_code, reason = "the environment is set before any thread starts")]
fn bpf() -> anyhow::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("crate has no parent folder")?;
    for path in ["netdrop-ebpf", "netdrop-common", "rust-toolchain.toml"] {
        println!("cargo:rerun-if-changed={}", root.join(path).display());
    }
    let toolchain = pinned_toolchain(&root.join("rust-toolchain.toml"))?;
    // SAFETY: the build script has one thread here.
    unsafe { std::env::set_var("RUSTC_BOOTSTRAP", "1") };
    let ebpf = root.join("netdrop-ebpf");
    let package = aya_build::Package {
        name: "netdrop-ebpf",
        root_dir: ebpf.to_str().context("path of the workspace is not UTF-8")?,
        ..Default::default()
    };
    aya_build::build_ebpf([package], aya_build::Toolchain::Custom(&toolchain))
        .context("the BPF object does not build; `cargo xtask tools` installs what it needs")?;
    // With AYA_BUILD_SKIP=1 (cargo check in an editor) there is no object: leave an empty one, which the loader refuses.
    let object = Path::new(&std::env::var("OUT_DIR")?).join("netdrop-ebpf");
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
