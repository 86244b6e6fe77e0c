//! Kernels as Debian packages them: found, fetched and unpacked, never installed.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use crate::shell::{command, q, quiet, say};

/// The small flavour, without drivers for real hardware; network and netfilter are whole.
const FLAVOUR: &str = "-cloud-amd64";

/// A kernel, unpacked.
#[derive(Clone, Debug)]
pub(super) struct Kernel {
    /// As people name it: `6.1`.
    pub(super) series: String,
    /// As `uname -r` prints it.
    pub(super) release: String,
    /// What boots.
    pub(super) image: PathBuf,
    /// Its modules, with their indexes.
    pub(super) modules: PathBuf,
}

/// The newest kernel of each series that apt knows; only one series if `wanted` names it.
pub(super) fn find(wanted: Option<&str>) -> anyhow::Result<Vec<Kernel>> {
    let newest = match newest(&known()?) {
        found if found.is_empty() => {
            say("...", "lists of packages");
            q("apt-get", ["update", "-qq"])?;
            newest(&known()?)
        }
        found => found,
    };
    let chosen: Vec<_> = newest.iter().filter(|(series, _)| wanted.is_none_or(|w| w == series)).collect();
    if chosen.is_empty() {
        let all: Vec<&str> = newest.iter().map(|(series, _)| series.as_str()).collect();
        let all = all.join(", ");
        bail!("apt knows no Debian kernel {}; it has: {all}", wanted.unwrap_or_default());
    }
    chosen.into_iter().map(|(series, release)| unpacked(series, release)).collect()
}

/// What apt's lists have.
fn known() -> anyhow::Result<String> {
    q("apt-cache", ["search", "--names-only", &format!("^linux-image-[0-9].*{FLAVOUR}$")])
}

/// The newest release of each series, the oldest series first.
fn newest(listed: &str) -> Vec<(String, String)> {
    let mut newest: BTreeMap<Vec<u32>, &str> = BTreeMap::new();
    let releases = listed.lines().filter_map(|line| {
        line.split(' ').next()?.strip_prefix("linux-image-").filter(|release| release.ends_with(FLAVOUR))
    });
    for release in releases {
        let version = version(release);
        // `6.12-cloud-amd64` is not a kernel but points at the newest.
        if version.len() < 3 {
            continue;
        }
        let best = newest.entry(version[..2].to_vec()).or_insert(release);
        if version > self::version(best) {
            *best = release;
        }
    }
    newest
        .into_iter()
        .map(|(series, release)| (format!("{}.{}", series[0], series[1]), release.to_owned()))
        .collect()
}

/// The numbers in a release, without those of the flavour.
fn version(release: &str) -> Vec<u32> {
    let release = release.strip_suffix(FLAVOUR).unwrap_or(release);
    release.split(|c: char| !c.is_ascii_digit()).filter_map(|n| n.parse().ok()).collect()
}

/// Fetches and unpacks a kernel, unless that was done before.
fn unpacked(series: &str, release: &str) -> anyhow::Result<Kernel> {
    let home = cache()?.join(release);
    if home.is_dir() {
        say("ok", format_args!("kernel {release}"));
    } else {
        say("...", format_args!("kernel {release}, from Debian, unpacked in {}", home.display()));
        fetch(release, &home)?;
        forget_older(release)?;
    }
    Ok(Kernel {
        series: series.to_owned(),
        release: release.to_owned(),
        image: home.join("boot").join(format!("vmlinuz-{release}")),
        modules: modules(&home).join(release),
    })
}

/// Removes what the cache has of a series beside its newest kernel.
fn forget_older(release: &str) -> anyhow::Result<()> {
    for entry in fs::read_dir(cache()?)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.ends_with(FLAVOUR)
            && version(&name) < version(release)
            && version(&name)[..2] == version(release)[..2]
        {
            say("...", format_args!("kernel {name} goes: there is a newer one"));
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

/// Where kernels are kept.
fn cache() -> anyhow::Result<PathBuf> {
    let own = env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let usual = || env::var_os("HOME").map(|home| Path::new(&home).join(".cache"));
    let cache = own.or_else(usual).context("neither XDG_CACHE_HOME nor HOME says where caches are")?;
    Ok(cache.join("netdrop/vm"))
}

/// Where Debian puts modules: since 13 below `/usr`.
fn modules(home: &Path) -> PathBuf {
    let merged = home.join("usr/lib/modules");
    if merged.is_dir() { merged } else { home.join("lib/modules") }
}

/// The folder gets its name when all is in it.
fn fetch(release: &str, home: &Path) -> anyhow::Result<()> {
    let part = home.with_file_name(format!("{release}.{}", std::process::id()));
    fs::create_dir_all(&part).with_context(|| format!("can't make {}", part.display()))?;
    let fetched = fetch_into(release, &part)
        .and_then(|()| fs::rename(&part, home).with_context(|| format!("can't name {}", home.display())));
    if fetched.is_err() {
        // The error that counts is the first.
        let _ = fs::remove_dir_all(&part);
    }
    fetched
}

fn fetch_into(release: &str, part: &Path) -> anyhow::Result<()> {
    let package = format!("linux-image-{release}");
    let download = || quiet(command("apt-get", ["download", "-qq", &package]).current_dir(part));
    // What the lists promise may be gone from the mirror.
    if download().is_err() {
        q("apt-get", ["update", "-qq"])?;
        download()?;
    }
    let archive = fs::read_dir(part)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|e| e == "deb"))
        .with_context(|| format!("apt-get download {package} left no package"))?;
    quiet(command("dpkg-deb", ["-x"]).arg(&archive).arg(part))?;
    fs::remove_file(archive)?;
    let modules = modules(part);
    if modules.starts_with(part.join("usr")) {
        // depmod looks into `lib`.
        std::os::unix::fs::symlink("usr/lib", part.join("lib"))?;
    }
    quiet(command("depmod", ["-b"]).arg(part).arg(release)).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_of_each_series_is_chosen_by_number() {
        let listed = "linux-image-6.1.0-9-cloud-amd64 - Linux 6.1\n\
                      linux-image-6.1.0-56-cloud-amd64 - Linux 6.1\n\
                      linux-image-6.1.0-56-cloud-amd64-dbg - Debug symbols\n\
                      linux-image-6.12-cloud-amd64 - Linux (meta-package)\n\
                      linux-image-6.12.117+deb12-cloud-amd64 - Linux 6.12\n\
                      linux-image-6.6.13+bpo-cloud-amd64 - Linux 6.6\n\
                      linux-image-6.12.9+deb12-cloud-amd64 - Linux 6.12\n\
                      linux-image-cloud-amd64 - Linux (meta-package)\n";
        let newest = newest(listed);
        let expected = [
            ("6.1", "6.1.0-56-cloud-amd64"),
            ("6.6", "6.6.13+bpo-cloud-amd64"),
            ("6.12", "6.12.117+deb12-cloud-amd64"),
        ];
        assert_eq!(newest, expected.map(|(series, release)| (series.to_owned(), release.to_owned())));
    }
}
