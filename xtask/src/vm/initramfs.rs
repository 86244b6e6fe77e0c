//! The guest's root file system: programs of packages with their libraries, modules, the suite.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::cpio::Archive;
use crate::shell::{command, q};

/// Folders of which a package's files come along.
const PROGRAMS: &[&str] = &["usr/bin/", "usr/sbin/", "usr/lib/x86_64-linux-gnu/xtables/"];
/// Folders of which all modules come along; what they need comes too.
const MODULES: &[&str] = &["kernel/net/", "kernel/lib/", "kernel/crypto/"];
/// Drivers of devices that are made of nothing.
const DRIVERS: &[&str] =
    &["bareudp", "dummy", "geneve", "ifb", "ipvlan", "macvlan", "tun", "veth", "vrf", "vxlan", "wireguard"];

enum Node {
    Folder,
    Copy(PathBuf),
    Text(String),
    Link(String),
}

/// What the guest finds at its start, by path without the leading slash.
pub(super) struct Tree(BTreeMap<String, Node>);

impl Tree {
    /// Folders to mount things on, and the links of a merged `/usr`.
    pub(super) fn new() -> Self {
        let mut tree = Self(BTreeMap::new());
        for folder in ["dev", "proc", "sys", "run", "tmp", "root", "etc", "var", "usr/local/bin"] {
            tree.add(folder, Node::Folder);
        }
        for link in ["bin", "sbin", "lib", "lib64"] {
            tree.add(&format!("usr/{link}"), Node::Folder);
            tree.add(link, Node::Link(format!("usr/{link}")));
        }
        tree
    }

    fn add(&mut self, path: &str, node: Node) {
        let folders = path.match_indices('/').map(|(at, _)| path[..at].to_owned());
        for folder in folders.collect::<Vec<_>>() {
            self.0.entry(folder).or_insert(Node::Folder);
        }
        self.0.insert(path.to_owned(), node);
    }

    /// A file of this machine's, at another place.
    pub(super) fn copy(&mut self, path: &str, from: &Path) {
        self.add(path, Node::Copy(from.to_owned()));
    }

    /// A file that may be run.
    pub(super) fn text(&mut self, path: &str, text: impl Into<String>) {
        self.add(path, Node::Text(text.into()));
    }

    /// The programs of packages that are installed here, and the libraries that they load.
    pub(super) fn packages(&mut self, packages: &[&str]) -> anyhow::Result<()> {
        let mut files = BTreeMap::new();
        for package in packages {
            for file in q("dpkg", ["-L", package])?.lines() {
                let place = merged(file);
                if PROGRAMS.iter().any(|folder| place.starts_with(folder)) && Path::new(file).is_file() {
                    files.insert(place, PathBuf::from(file));
                }
            }
        }
        let mut libraries = BTreeSet::new();
        for (place, file) in files {
            if let Ok(to) = fs::read_link(&file) {
                self.add(&place, Node::Link(merged_target(&to)));
            } else {
                libraries.extend(libraries_of(&file));
                self.copy(&place, &file);
            }
        }
        for library in libraries {
            self.copy(&merged(&library), Path::new(&library));
        }
        Ok(())
    }

    /// Modules of the network and what they may ask for, found by `modprobe` as on any machine.
    pub(super) fn modules(&mut self, from: &Path, release: &str) -> anyhow::Result<()> {
        let index = from.join("modules.dep");
        let needs = fs::read_to_string(&index).with_context(|| format!("can't read {}", index.display()))?;
        for path in with_needs(&needs) {
            self.copy(&format!("usr/lib/modules/{release}/{path}"), &from.join(path));
        }
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with("modules.") {
                self.copy(&format!("usr/lib/modules/{release}/{name}"), &entry.path());
            }
        }
        Ok(())
    }

    /// Writes the archive.
    pub(super) fn write(&self, out: &Path) -> anyhow::Result<()> {
        let file = File::create(out).with_context(|| format!("can't make {}", out.display()))?;
        let mut archive = Archive::new(BufWriter::new(file));
        for (path, node) in &self.0 {
            match node {
                Node::Folder => archive.folder(path)?,
                Node::Link(to) => archive.link(path, to)?,
                Node::Text(text) => archive.file(path, text.as_bytes())?,
                Node::Copy(from) => {
                    let bytes = fs::read(from).with_context(|| format!("can't read {}", from.display()))?;
                    archive.file(path, &bytes)?;
                }
            }
        }
        archive.finish()?.into_inner().map_err(std::io::IntoInnerError::into_error)?.sync_data()?;
        Ok(())
    }
}

/// A path's place where `/bin` and the like are links into `/usr`, without the leading slash.
fn merged(path: &str) -> String {
    let path = path.trim_start_matches('/');
    let first = path.split('/').next().unwrap_or_default();
    if ["bin", "sbin", "lib", "lib64"].contains(&first) { format!("usr/{path}") } else { path.to_owned() }
}

/// The same for what a link points at: a name stays a name.
fn merged_target(to: &Path) -> String {
    let to = to.to_string_lossy();
    if to.starts_with('/') { format!("/{}", merged(&to)) } else { to.into_owned() }
}

/// Paths of what the dynamic linker loads; none for scripts and static programs, of which ldd says that it failed.
fn libraries_of(file: &Path) -> Vec<String> {
    let Ok(output) = command("ldd", [file]).output() else { return Vec::new() };
    loaded(&String::from_utf8_lossy(&output.stdout))
}

fn loaded(printed: &str) -> Vec<String> {
    let path = |line: &str| line.split_whitespace().find(|word| word.starts_with('/')).map(str::to_owned);
    printed.lines().filter(|line| line.contains("(0x")).filter_map(path).collect()
}

/// The modules to take, of lines `path: path of what it needs ...` (modules.dep names all that a module needs).
fn with_needs(index: &str) -> BTreeSet<&str> {
    let mut taken = BTreeSet::new();
    for line in index.lines() {
        let Some((path, needs)) = line.split_once(':') else { continue };
        let name = path.rsplit('/').next().and_then(|file| file.split('.').next()).unwrap_or_default();
        if MODULES.iter().any(|folder| path.starts_with(folder)) || DRIVERS.contains(&name) {
            taken.insert(path);
            taken.extend(needs.split_whitespace());
        }
    }
    taken
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_those_of_a_merged_usr() {
        assert_eq!(merged("/bin/ip"), "usr/bin/ip");
        assert_eq!(merged("/lib64/ld-linux-x86-64.so.2"), "usr/lib64/ld-linux-x86-64.so.2");
        assert_eq!(merged("/usr/sbin/nft"), "usr/sbin/nft");
        assert_eq!(merged_target(Path::new("/bin/ip")), "/usr/bin/ip");
        assert_eq!(merged_target(Path::new("xtables-nft-multi")), "xtables-nft-multi");
    }

    #[test]
    fn libraries_are_read_from_ldd() {
        let printed = "\tlinux-vdso.so.1 (0x00007f)\n\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f)\n\
                       \t/lib64/ld-linux-x86-64.so.2 (0x00007f)\n\tlibgone.so => not found\n";
        assert_eq!(loaded(printed), ["/lib/x86_64-linux-gnu/libc.so.6", "/lib64/ld-linux-x86-64.so.2"]);
        assert_eq!(loaded("\tnot a dynamic executable\n"), [""; 0]);
    }

    #[test]
    fn modules_come_with_what_they_need() {
        let index = "kernel/net/openvswitch/openvswitch.ko: kernel/lib/libcrc32c.ko\nkernel/lib/libcrc32c.ko:\n\
                     kernel/drivers/net/veth.ko.xz:\nkernel/drivers/scsi/x.ko:\n";
        let taken = with_needs(index);
        assert_eq!(
            taken.into_iter().collect::<Vec<_>>(),
            [
                "kernel/drivers/net/veth.ko.xz",
                "kernel/lib/libcrc32c.ko",
                "kernel/net/openvswitch/openvswitch.ko"
            ]
        );
    }

    #[test]
    fn folders_come_before_what_lies_in_them() {
        let mut tree = Tree::new();
        tree.text("etc/a/b", "");
        let paths: Vec<&str> = tree.0.keys().map(String::as_str).collect();
        let at = |path| paths.iter().position(|p| *p == path).unwrap();
        assert!(at("etc") < at("etc/a") && at("etc/a") < at("etc/a/b"));
    }
}
