//! Builds the BPF object, and the protobuf types without protoc.

#[path = "build/codec.rs"]
mod codec;
#[path = "build/schema.rs"]
mod schema;
#[path = "build/see.rs"]
mod see;

use std::fs;
use std::path::Path;

use anyhow::Context as _;
use tonic_build::manual::{Method, Service};

fn main() -> anyhow::Result<()> {
    compiler()?;
    protos()?;
    bpf()
}

/// What `netdrop version` says it was built with.
fn compiler() -> anyhow::Result<()> {
    let rustc = std::env::var_os("RUSTC").context("cargo names no compiler")?;
    let version = std::process::Command::new(rustc).arg("--version").output()?.stdout;
    let version = String::from_utf8(version)?;
    let words: Vec<&str> = version.split_whitespace().take(2).collect();
    println!("cargo:rustc-env=NETDROP_RUSTC={}", words.join(" "));
    Ok(())
}

/// Compiles the API's definitions with protox, a protobuf compiler in Rust: nothing to install.
fn protos() -> anyhow::Result<()> {
    println!("cargo:rerun-if-changed=proto");
    println!("cargo:rerun-if-changed=build");
    let sources = ["observer/observer.proto", "peer/peer.proto"];
    let files = protox::compile(sources, ["proto"])?;
    let out = std::env::var("OUT_DIR")?;
    let out = Path::new(&out);
    fs::write(out.join("codec.rs"), codec::generate(&files)?)?;
    fs::write(out.join("schema.rs"), schema::generate(&files)?)?;
    fs::write(out.join("see.rs"), see::generate(&files)?)?;
    tonic_prost_build::configure().emit_rerun_if_changed(false).compile_fds(files.clone())?;
    served(files, out)?;
    uncoded_observer();
    // For reflection: with what they import, without comments.
    let mut compiler = protox::Compiler::new(["proto"])?;
    compiler.include_imports(true).include_source_info(false).open_files(sources)?;
    fs::write(out.join("descriptors.bin"), compiler.encode_file_descriptor_set())?;
    Ok(())
}

/// The observer service as the agent serves it: GetFlows with responses that are encoded already.
fn served(files: prost_types::FileDescriptorSet, out: &Path) -> anyhow::Result<()> {
    let served = out.join("served");
    fs::create_dir_all(&served)?;
    tonic_prost_build::configure()
        .emit_rerun_if_changed(false)
        .build_client(false)
        .extern_path(".observer.GetFlowsResponse", "crate::agent::Encoded")
        .extern_path(".observer", "crate::proto::observer")
        .extern_path(".flow", "crate::proto::flow")
        .extern_path(".relay", "crate::proto::relay")
        .extern_path(".peer", "crate::proto::peer")
        .out_dir(served)
        .compile_fds(files)?;
    Ok(())
}

/// The observer service once more, with GetFlows as the bytes that come: what merges the streams of many nodes has no use for the
/// fields of flows and filters, and must not lose those it does not know.
fn uncoded_observer() {
    let coded = |name: &str, route: &str, streams: bool| {
        let method = Method::builder()
            .name(name)
            .route_name(route)
            .input_type(format!("crate::proto::observer::{route}Request"))
            .output_type(format!("crate::proto::observer::{route}Response"))
            .codec_path("tonic_prost::ProstCodec");
        if streams { method.server_streaming().build() } else { method.build() }
    };
    let flows = Method::builder()
        .name("get_flows")
        .route_name("GetFlows")
        .input_type("crate::merge::Asked")
        .output_type("crate::merge::Wire")
        .codec_path("crate::merge::WireCodec")
        .server_streaming()
        .build();
    let service = Service::builder()
        .name("Observer")
        .package("observer")
        .method(flows)
        .method(coded("get_agent_events", "GetAgentEvents", true))
        .method(coded("get_debug_events", "GetDebugEvents", true))
        .method(coded("get_nodes", "GetNodes", false))
        .method(coded("get_namespaces", "GetNamespaces", false))
        .method(coded("server_status", "ServerStatus", false))
        .build();
    tonic_build::manual::Builder::new().compile(&[service]);
}

/// Compiles netdrop-ebpf with the pinned toolchain. `-Z build-std` is unstable, so that one build runs with RUSTC_BOOTSTRAP.
#[expect(unsafe_code, reason = "the environment is set before any thread starts")]
fn bpf() -> anyhow::Result<()> {
    // Asked now: with a target folder that several clones share, this may have been compiled in another.
    let here = std::env::var_os("CARGO_MANIFEST_DIR").context("cargo names no folder")?;
    let root = Path::new(&here).parent().context("crate has no parent folder")?;
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
