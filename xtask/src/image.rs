//! OCI archives, written without a container engine.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::shell::{cargo, root, run, say};
use crate::tools;

/// Name of the image that deploy/ asks for.
pub const NETDROP: &str = "localhost/netdrop:dev";

/// The target whose binaries need nothing of the machine they run on.
pub const STATIC: &str = "x86_64-unknown-linux-musl";

/// What was typed after `cargo xtask image`.
#[derive(Args)]
pub struct ImageArgs {
    /// Where to write the archive
    #[arg(long, default_value = "netdrop.tar")]
    pub out: PathBuf,
    /// Name of the image
    #[arg(long, default_value = NETDROP)]
    pub tag: String,
}

/// A file of an image.
pub struct Entry {
    /// Path in the image, without the leading slash.
    pub path: String,
    /// Where its bytes are; `None`: an empty folder.
    pub from: Option<PathBuf>,
    /// A link to this path instead.
    pub link: Option<String>,
}

impl Entry {
    /// An executable.
    pub fn file(path: &str, from: &Path) -> Self {
        Self { path: path.into(), from: Some(from.into()), link: None }
    }
    /// A folder.
    pub fn folder(path: &str) -> Self {
        Self { path: path.into(), from: None, link: None }
    }
    /// A symbolic link.
    pub fn link(path: &str, to: &str) -> Self {
        Self { path: path.into(), from: None, link: Some(to.into()) }
    }
}

/// Builds netdrop as one static binary and writes its image.
pub fn image(args: &ImageArgs) -> anyhow::Result<()> {
    let binary = netdrop()?;
    let entries = [Entry::file("usr/bin/netdrop", &binary), Entry::folder("run"), Entry::folder("tmp")];
    write(&args.out, &args.tag, &entries, &["/usr/bin/netdrop"])?;
    let size = fs::metadata(&args.out)?.len() / 1024;
    say("ok", format_args!("{} as {} ({size} KiB)", args.tag, args.out.display()));
    Ok(())
}

/// Builds netdrop as one static binary and gives its path.
pub fn netdrop() -> anyhow::Result<PathBuf> {
    tools::build()?;
    tools::image()?;
    say("...", "building netdrop, static (some minutes when cold)");
    run(&mut cargo(&[
        "build",
        "--quiet",
        "--release",
        "--target",
        STATIC,
        "--package",
        "netdrop-userspace",
    ]))?;
    Ok(target_folder().join(STATIC).join("release/netdrop"))
}

pub fn target_folder() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// Writes an archive that `ctr image import` takes. Same content, same bytes: no times, entries in the order given.
pub fn write(out: &Path, tag: &str, entries: &[Entry], entrypoint: &[&str]) -> anyhow::Result<()> {
    let mut blobs: Vec<(String, Vec<u8>)> = Vec::new();
    let mut blob = |bytes: Vec<u8>, kind: &str| {
        let digest = sha256(&bytes);
        let descriptor = json!({"mediaType": format!("application/vnd.oci.image.{kind}"),
            "digest": format!("sha256:{digest}"), "size": bytes.len()});
        blobs.push((digest, bytes));
        descriptor
    };
    let layer = blob(layer(entries)?, "layer.v1.tar");
    let config = json!({"architecture": "amd64", "os": "linux",
        "config": {"Env": ["PATH=/usr/bin:/bin"], "Entrypoint": entrypoint},
        "rootfs": {"type": "layers", "diff_ids": [layer["digest"]]}});
    let config = blob(config.to_string().into_bytes(), "config.v1+json");
    let manifest = json!({"schemaVersion": 2, "config": config, "layers": [layer]});
    let mut manifest = blob(manifest.to_string().into_bytes(), "manifest.v1+json");
    manifest["annotations"] = json!({"io.containerd.image.name": tag});
    let index = json!({"schemaVersion": 2, "manifests": [manifest]}).to_string();
    let file = File::create(out).with_context(|| format!("cannot create {}", out.display()))?;
    let mut archive = tar::Builder::new(file);
    append(&mut archive, "oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#, 0o644)?;
    append(&mut archive, "index.json", index.as_bytes(), 0o644)?;
    for (digest, bytes) in &blobs {
        append(&mut archive, &format!("blobs/sha256/{digest}"), bytes, 0o644)?;
    }
    archive.into_inner()?.flush()?;
    Ok(())
}

/// SHA-256 as hexadecimal text.
pub fn sha256(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    Sha256::digest(bytes).iter().fold(String::with_capacity(64), |mut text, byte| {
        // Writing to a String does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn layer(entries: &[Entry]) -> anyhow::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    for entry in entries {
        if let Some(to) = &entry.link {
            let mut header = header(tar::EntryType::Symlink, 0, 0o777);
            archive.append_link(&mut header, &entry.path, to)?;
        } else if let Some(from) = &entry.from {
            let mut bytes = Vec::new();
            File::open(from)
                .with_context(|| format!("cannot read {}", from.display()))?
                .read_to_end(&mut bytes)?;
            append(&mut archive, &entry.path, &bytes, 0o755)?;
        } else {
            let mode = if entry.path == "tmp" { 0o1777 } else { 0o755 };
            archive.append_data(&mut header(tar::EntryType::Directory, 0, mode), &entry.path, &[][..])?;
        }
    }
    Ok(archive.into_inner()?)
}

fn header(kind: tar::EntryType, size: usize, mode: u32) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(size as u64);
    header.set_mode(mode);
    header.set_mtime(0);
    header
}

fn append<W: std::io::Write>(
    archive: &mut tar::Builder<W>,
    path: &str,
    bytes: &[u8],
    mode: u32,
) -> anyhow::Result<()> {
    archive.append_data(&mut header(tar::EntryType::Regular, bytes.len(), mode), path, bytes)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_content_gives_the_same_archive() {
        let folder = std::env::temp_dir().join(format!("netdrop-image-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let file = folder.join("hello");
        fs::write(&file, "hello").unwrap();
        let entries =
            || [Entry::file("bin/hello", &file), Entry::link("bin/hi", "hello"), Entry::folder("tmp")];
        let archive = |name: &str| {
            let out = folder.join(name);
            write(&out, "localhost/x:1", &entries(), &["/bin/hello"]).unwrap();
            fs::read(out).unwrap()
        };
        assert_eq!(archive("a.tar"), archive("b.tar"));
        let mut names: Vec<String> = tar::Archive::new(&archive("a.tar")[..])
            .entries()
            .unwrap()
            .map(|e| e.unwrap().path().unwrap().display().to_string())
            .collect();
        names.truncate(2);
        assert_eq!(names, ["oci-layout", "index.json"]);
        fs::remove_dir_all(folder).unwrap();
    }
}
