//! Whose a network namespace is: by the processes in it, and by the names that people and container runtimes give in `/run/netns`.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::home::Home;

/// An unknown namespace makes all processes be looked at again, but not more often than this.
const REFRESH: Duration = Duration::from_secs(1);
/// How long one that is gone is remembered: the kernel takes its time to give an inode to another.
const TOMBSTONE: Duration = Duration::from_mins(1);

/// What is known of a namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owner {
    /// Its name in `/run/netns`.
    pub name: Option<Arc<str>>,
    /// To what the processes in it belong: a pod rather than one of its containers. `None`: there are none.
    pub home: Option<Arc<Home>>,
}

#[derive(Clone, Debug)]
struct Known {
    owner: Owner,
    seen: Instant,
}

/// Namespaces by their inode.
#[derive(Debug)]
pub struct Namespaces {
    proc: PathBuf,
    names: PathBuf,
    known: HashMap<u32, Known>,
    read_at: Option<Instant>,
}

impl Namespaces {
    /// Those of this machine, as far as its processes can be seen from here.
    pub fn of_machine() -> Self {
        Self::at("/proc".into(), "/run/netns".into())
    }

    fn at(proc: PathBuf, names: PathBuf) -> Self {
        Self { proc, names, known: HashMap::new(), read_at: None }
    }

    /// Whose the namespace of this inode is, or was until a while ago. `None`: nobody knows.
    pub fn owner(&mut self, inode: u32) -> Option<&Owner> {
        self.owner_at(inode, Instant::now())
    }

    fn owner_at(&mut self, inode: u32, now: Instant) -> Option<&Owner> {
        let old = |known: &Known| now.duration_since(known.seen) > TOMBSTONE;
        let is_due = self.read_at.is_none_or(|at| now.duration_since(at) > REFRESH);
        // Unlike a cgroup's, an inode may be another's by now.
        if self.known.get(&inode).is_none_or(old) && is_due {
            self.read(now);
        }
        self.known.get(&inode).filter(|known| !old(known)).map(|known| &known.owner)
    }

    fn read(&mut self, now: Instant) {
        self.read_at = Some(now);
        let mut found = names(&self.names);
        for (inode, home) in homes(&self.proc) {
            found.entry(inode).or_default().home = Some(Arc::new(home));
        }
        for (inode, owner) in found {
            let known = self.known.entry(inode).or_insert_with(|| Known { owner: owner.clone(), seen: now });
            // Who was in it is still told when only its name is left.
            let home = owner.home.or_else(|| known.owner.home.take());
            *known = Known { owner: Owner { home, ..owner }, seen: now };
        }
        self.known.retain(|_, known| now.duration_since(known.seen) <= TOMBSTONE);
    }
}

/// Names of files that hold namespaces.
fn names(folder: &Path) -> HashMap<u32, Owner> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let named = entries.filter_map(|entry| {
        let inode = u32::try_from(fs::metadata(entry.path()).ok()?.ino()).ok()?;
        Some((inode, Owner { name: Some(entry.file_name().to_str()?.into()), home: None }))
    });
    named.collect()
}

/// To what the processes of each namespace belong.
fn homes(proc: &Path) -> HashMap<u32, Home> {
    let mut homes: HashMap<u32, Home> = HashMap::new();
    for entry in fs::read_dir(proc).into_iter().flatten().flatten() {
        let is_process = entry.file_name().as_encoded_bytes().first().is_some_and(u8::is_ascii_digit);
        let Some(inode) = is_process.then(|| inode_of(&entry.path())).flatten() else { continue };
        let known = homes.get(&inode);
        if known.is_some_and(|home| home.pod.is_some() && home.container.is_none()) {
            continue;
        }
        let Ok(cgroup) = fs::read_to_string(entry.path().join("cgroup")) else { continue };
        let home = Home::of_process(&cgroup);
        match homes.get_mut(&inode) {
            Some(known) => *known = common(known, &home),
            None => drop(homes.insert(inode, home)),
        }
    }
    homes
}

/// `net:[4026531840]`
fn inode_of(process: &Path) -> Option<u32> {
    let link = fs::read_link(process.join("ns/net")).ok()?;
    link.to_str()?.strip_prefix("net:[")?.strip_suffix(']')?.parse().ok()
}

/// What two processes of one namespace have in common.
fn common(one: &Home, other: &Home) -> Home {
    let same = |a: bool| a.then_some(());
    Home {
        pod: one.pod.clone().filter(|_| one.pod == other.pod),
        container: same(one.container == other.container).and_then(|()| one.container.clone()),
        unit: same(one.unit == other.unit).and_then(|()| one.unit.clone()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    const UID: &str = "0b7c8a9e-1f2d-4c3b-9a8e-7d6c5b4a3f2e";

    struct Machine(tempfile::TempDir);

    impl Machine {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn start(&self, pid: u32, inode: u32, cgroup: &str) {
            let process = self.0.path().join(format!("proc/{pid}"));
            fs::create_dir_all(process.join("ns")).unwrap();
            symlink(format!("net:[{inode}]"), process.join("ns/net")).unwrap();
            fs::write(process.join("cgroup"), cgroup).unwrap();
        }

        fn end(&self, pid: u32) {
            fs::remove_dir_all(self.0.path().join(format!("proc/{pid}"))).unwrap();
        }

        fn namespaces(&self) -> Namespaces {
            fs::create_dir_all(self.0.path().join("proc/self/ns")).unwrap();
            Namespaces::at(self.0.path().join("proc"), self.0.path().join("netns"))
        }
    }

    fn container(digit: char) -> String {
        format!("0::/kubepods/podUID/{}\n", digit.to_string().repeat(64)).replace("UID", UID)
    }

    #[test]
    fn a_namespace_is_its_processes() {
        let machine = Machine::new();
        machine.start(1, 10, "0::/init.scope\n");
        machine.start(2, 10, "0::/system.slice/ssh.service\n");
        machine.start(30, 11, &container('a'));
        machine.start(31, 11, &container('b'));
        machine.start(40, 12, "0::/system.slice/dns.service\n");
        let mut namespaces = machine.namespaces();
        let home = |namespaces: &mut Namespaces, inode| namespaces.owner(inode).and_then(|o| o.home.clone());
        assert!(home(&mut namespaces, 10).unwrap().is_host(), "several units");
        let pod = home(&mut namespaces, 11).unwrap();
        assert_eq!(pod.pod.as_ref().map(|pod| &*pod.uid), Some(UID));
        assert_eq!(pod.container, None, "several containers");
        assert_eq!(home(&mut namespaces, 12).unwrap().unit.as_deref(), Some("dns.service"));
        assert_eq!(namespaces.owner(13), None);
    }

    #[test]
    fn what_ended_is_remembered_for_a_while() {
        let machine = Machine::new();
        machine.start(30, 11, &container('a'));
        let mut namespaces = machine.namespaces();
        let begin = Instant::now();
        let owner = namespaces.owner_at(11, begin).unwrap().clone();
        machine.end(30);
        assert_eq!(namespaces.owner_at(12, begin + 2 * REFRESH), None);
        assert_eq!(namespaces.owner_at(11, begin + TOMBSTONE), Some(&owner));
        machine.start(50, 11, "0::/x.service\n");
        let again = namespaces.owner_at(11, begin + TOMBSTONE + REFRESH).unwrap();
        assert_eq!(again.home.as_ref().unwrap().unit.as_deref(), Some("x.service"), "another's by now");
    }

    #[test]
    fn names_are_of_files() {
        let machine = Machine::new();
        let mut namespaces = machine.namespaces();
        fs::create_dir_all(&namespaces.names).unwrap();
        let file = namespaces.names.join("blue");
        fs::write(&file, "").unwrap();
        let inode = u32::try_from(fs::metadata(&file).unwrap().ino()).unwrap();
        machine.start(7, inode, "0::/x.service\n");
        let owner = namespaces.owner(inode).unwrap();
        assert_eq!(owner.name.as_deref(), Some("blue"));
        assert_eq!(owner.home.as_ref().unwrap().unit.as_deref(), Some("x.service"));
    }

    #[test]
    fn this_process_is_somewhere() {
        let inode = inode_of(Path::new("/proc/self")).unwrap();
        assert!(Namespaces::of_machine().owner(inode).is_some_and(|owner| owner.home.is_some()));
    }
}
