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
/// Nor for more than one part in so many of the time.
const SHARE: u32 = 50;
/// How long it is believed that an owner is still there.
const TRUST: Duration = Duration::from_millis(100);
/// How long after its owner was last there a namespace is still called so: what was on its way dies then. The kernel gives the inode to the
/// next namespace that is made, which may be soon.
const LINGER: Duration = Duration::from_millis(200);
/// How long it is remembered who was in a namespace that has only its name left.
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
    /// A file that is the namespace as long as the owner is there.
    witness: PathBuf,
    /// When it last was.
    seen: Instant,
    /// When that was last asked.
    asked: Instant,
}

/// Namespaces by their inode.
#[derive(Debug)]
pub struct Namespaces {
    proc: PathBuf,
    names: PathBuf,
    known: HashMap<u32, Known>,
    /// When the processes may be looked at again.
    due: Option<Instant>,
}

impl Namespaces {
    /// Those of this machine, as far as its processes can be seen from here.
    pub fn of_machine() -> Self {
        Self::at("/proc".into(), "/run/netns".into())
    }

    pub(super) fn at(proc: PathBuf, names: PathBuf) -> Self {
        Self { proc, names, known: HashMap::new(), due: None }
    }

    /// Whose the namespace of this inode is, or was until a while ago. `None`: nobody knows.
    pub fn owner(&mut self, inode: u32) -> Option<&Owner> {
        self.owner_at(inode, Instant::now())
    }

    fn owner_at(&mut self, inode: u32, now: Instant) -> Option<&Owner> {
        // The kernel soon gives the inode of one that is gone to another.
        let is_sure = self.known.get_mut(&inode).is_some_and(|known| known.is_there(inode, now));
        if !is_sure && self.due.is_none_or(|due| now >= due) {
            let begin = Instant::now();
            self.read(now);
            self.due = Some(now + REFRESH.max(begin.elapsed() * SHARE));
        }
        let known = self.known.get(&inode).filter(|known| now.duration_since(known.seen) <= LINGER);
        known.map(|known| &known.owner)
    }

    fn read(&mut self, now: Instant) {
        let mut found = names(&self.names);
        for (inode, (home, process)) in homes(&self.proc) {
            let (owner, witness) = found.entry(inode).or_default();
            owner.home = Some(Arc::new(home));
            *witness = process.join("ns/net");
        }
        for (inode, (mut owner, witness)) in found {
            // Who was in it is still told when only its name is left.
            let before = self.known.remove(&inode).filter(|known| known.owner.name == owner.name);
            if owner.home.is_none() {
                owner.home = before.and_then(|known| known.owner.home);
            }
            self.known.insert(inode, Known { owner, witness, seen: now, asked: now });
        }
        self.known.retain(|_, known| now.duration_since(known.seen) <= TOMBSTONE);
    }
}

impl Known {
    fn is_there(&mut self, inode: u32, now: Instant) -> bool {
        if now.duration_since(self.asked) > TRUST {
            self.asked = now;
            if inode_of(&self.witness) == Some(inode) {
                self.seen = now;
            }
        }
        self.seen == self.asked
    }
}

/// Names of files that hold namespaces.
fn names(folder: &Path) -> HashMap<u32, (Owner, PathBuf)> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let named = entries.filter_map(|entry| {
        let path = entry.path();
        let owner = Owner { name: Some(entry.file_name().to_str()?.into()), home: None };
        Some((inode_of(&path)?, (owner, path)))
    });
    named.collect()
}

/// To what the processes of each namespace belong, and one of them.
fn homes(proc: &Path) -> HashMap<u32, (Home, PathBuf)> {
    let mut homes: HashMap<u32, (Home, PathBuf)> = HashMap::new();
    for entry in fs::read_dir(proc).into_iter().flatten().flatten() {
        let is_process = entry.file_name().as_encoded_bytes().first().is_some_and(u8::is_ascii_digit);
        let process = entry.path();
        let Some(inode) = is_process.then(|| inode_of(&process.join("ns/net"))).flatten() else { continue };
        let Ok(cgroup) = fs::read_to_string(process.join("cgroup")) else { continue };
        let home = Home::of_process(&cgroup);
        match homes.get_mut(&inode) {
            Some((known, _)) => *known = common(known, &home),
            None => drop(homes.insert(inode, (home, process))),
        }
    }
    homes
}

/// Inode of the namespace that a file is, or that a link of `/proc` leads to: `net:[4026531840]`, which the link itself says to
/// whoever may not follow it.
pub(crate) fn inode_of(path: &Path) -> Option<u32> {
    match fs::read_link(path) {
        Ok(link) => link.to_str()?.strip_prefix("net:[")?.strip_suffix(']')?.parse().ok(),
        Err(_) => u32::try_from(fs::metadata(path).ok()?.ino()).ok(),
    }
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
    use super::*;
    use crate::identity::machine::{Machine, UID};

    fn namespaces_of(machine: &Machine) -> Namespaces {
        machine.folder("proc/self/ns");
        Namespaces::at(machine.folder("proc"), machine.folder("netns"))
    }

    fn container(digit: char) -> String {
        format!("/kubepods/podUID/{}", digit.to_string().repeat(64)).replace("UID", UID)
    }

    #[test]
    fn a_namespace_is_its_processes() {
        let machine = Machine::new();
        machine.start(1, 10, "/init.scope");
        machine.start(2, 10, "/system.slice/ssh.service");
        machine.start(30, 11, &container('a'));
        machine.start(31, 11, &container('b'));
        machine.start(40, 12, "/system.slice/dns.service");
        let mut namespaces = namespaces_of(&machine);
        let home = |namespaces: &mut Namespaces, inode| namespaces.owner(inode).and_then(|o| o.home.clone());
        assert!(home(&mut namespaces, 10).unwrap().is_host(), "several units");
        let pod = home(&mut namespaces, 11).unwrap();
        assert_eq!(pod.pod.as_ref().map(|pod| &*pod.uid), Some(UID));
        assert_eq!(pod.container, None, "several containers");
        assert_eq!(home(&mut namespaces, 12).unwrap().unit.as_deref(), Some("dns.service"));
        assert_eq!(namespaces.owner(13), None);
    }

    #[test]
    fn what_ended_is_called_so_until_its_inode_may_be_anothers() {
        let machine = Machine::new();
        machine.start(30, 11, &container('a'));
        let mut namespaces = namespaces_of(&machine);
        let begin = Instant::now();
        let owner = namespaces.owner_at(11, begin).unwrap().clone();
        machine.end(30);
        assert_eq!(namespaces.owner_at(11, begin + LINGER), Some(&owner), "what was on its way");
        assert_eq!(namespaces.owner_at(11, begin + 2 * LINGER), None, "perhaps another's");
        assert_eq!(namespaces.owner_at(11, begin + 5 * REFRESH), None);
    }

    #[test]
    fn one_that_is_seldom_asked_for_is_still_there() {
        let machine = Machine::new();
        machine.start(30, 11, &container('a'));
        let mut namespaces = namespaces_of(&machine);
        let begin = Instant::now();
        let owner = namespaces.owner_at(11, begin).unwrap().clone();
        for seconds in [7, 7, 3600] {
            assert_eq!(namespaces.owner_at(11, begin + Duration::from_secs(seconds)), Some(&owner));
        }
    }

    /// The kernel gives the number that is free, soon.
    #[test]
    fn an_inode_is_anothers_once_its_first_owner_is_gone() {
        let machine = Machine::new();
        machine.start(30, 11, &container('a'));
        let mut namespaces = namespaces_of(&machine);
        let begin = Instant::now();
        assert!(namespaces.owner_at(11, begin).unwrap().home.as_ref().unwrap().pod.is_some());
        machine.end(30);
        machine.start(50, 11, "/x.service");
        let again = namespaces.owner_at(11, begin + TOMBSTONE).unwrap();
        let home = again.home.as_ref().unwrap();
        assert_eq!((home.unit.as_deref(), &home.pod), (Some("x.service"), &None));
    }

    #[test]
    fn names_are_of_files() {
        let machine = Machine::new();
        let mut namespaces = namespaces_of(&machine);
        fs::create_dir_all(&namespaces.names).unwrap();
        let file = namespaces.names.join("blue");
        fs::write(&file, "").unwrap();
        let inode = u32::try_from(fs::metadata(&file).unwrap().ino()).unwrap();
        machine.start(7, inode, "/x.service");
        let owner = namespaces.owner(inode).unwrap();
        assert_eq!(owner.name.as_deref(), Some("blue"));
        assert_eq!(owner.home.as_ref().unwrap().unit.as_deref(), Some("x.service"));
    }

    #[test]
    fn this_process_is_somewhere() {
        let inode = inode_of(Path::new("/proc/self/ns/net")).unwrap();
        assert!(Namespaces::of_machine().owner(inode).is_some_and(|owner| owner.home.is_some()));
    }
}
