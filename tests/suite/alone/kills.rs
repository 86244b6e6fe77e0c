//! Killed a hundred times under load: nothing of netdrop stays in the kernel, and the next one starts.

use std::collections::BTreeSet;
use std::fs;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use netdrop_tests::{command, expect, traffic};

use crate::harness::{LIMIT, binary, json_args};
use crate::storm::{Over, Storm, packet};

/// Times that it is killed; on an emulated machine, where a start takes so much longer, as many times fewer.
fn kills() -> u32 {
    100 / expect::patience()
}

/// A start takes about this long: over it the times of death are spread.
const START: Duration = Duration::from_millis(400);

/// Kind (`prog`, `map`, `link`) and id.
type Object = (&'static str, u64);

/// Programs, maps and links that a process holds.
fn held(pid: u32) -> BTreeSet<Object> {
    let Ok(entries) = fs::read_dir(format!("/proc/{pid}/fdinfo")) else { return BTreeSet::new() };
    let texts = entries.flatten().filter_map(|entry| fs::read_to_string(entry.path()).ok());
    texts.filter_map(|text| object(&text)).collect()
}

/// A link's text names its program, too: the link comes first.
fn object(text: &str) -> Option<Object> {
    let id = |key: &str| text.lines().find_map(|line| line.strip_prefix(key))?.trim().parse().ok();
    let kinds = [("link", "link_id:"), ("prog", "prog_id:"), ("map", "map_id:")];
    kinds.into_iter().find_map(|(kind, key)| Some((kind, id(key)?)))
}

/// All that there are on this machine; `None` where one vanished while they were listed.
fn existing() -> Option<BTreeSet<Object>> {
    let mut all = BTreeSet::new();
    for kind in ["prog", "map", "link"] {
        let listed = command::run("bpftool", &["-j", kind, "list"]).ok()?;
        let listed: serde_json::Value = serde_json::from_str(&listed).ok()?;
        let ids = listed.as_array()?.iter().filter_map(|item| item["id"].as_u64());
        all.extend(ids.map(|id| (kind, id)));
    }
    Some(all)
}

fn start(storm: &Storm) -> Child {
    Command::new(binary())
        .arg("observe")
        .args(json_args(&[&storm.netns]))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("netdrop runs")
}

fn signal(child: &Child, name: &str) {
    // `kill` of the shell: a process that was not waited for keeps its id.
    command::run("sh", &["-c", &format!("kill -{name} {}", child.id())]).expect("a signal");
}

/// Starts one, kills it and gives what it held: half of them while they start, half of them while they capture.
fn start_and_kill(storm: &Storm, n: u32) -> BTreeSet<Object> {
    let mut child = start(storm);
    if n.is_multiple_of(2) {
        thread::sleep(START * expect::patience() * n / kills());
    } else {
        let captures = || Ok(held(child.id()).iter().any(|(kind, _)| *kind == "link"));
        expect::until("a link", LIMIT, captures).expect("netdrop attaches");
    }
    // It holds nothing more from here on than is read.
    signal(&child, "STOP");
    let held = held(child.id());
    child.kill().expect("a kill");
    child.wait().expect("an end");
    held
}

#[test]
fn a_hundred_times() {
    let storm = Storm::new();
    let over = AtomicBool::new(false);
    let (mut most, mut capturing) = (0, 0);
    thread::scope(|s| {
        let _over = Over(&over);
        s.spawn(|| {
            // Some ten thousand drops a second: a load, and the machine stays usable.
            let send = || {
                while !over.load(Ordering::Relaxed) {
                    traffic::packets((0..100).map(packet))?;
                    thread::sleep(Duration::from_millis(5));
                }
                Ok(())
            };
            storm.netns.run(send).expect("traffic");
        });
        let start = Instant::now();
        for n in 0..kills() {
            let held = start_and_kill(&storm, n);
            capturing += u32::from(held.iter().any(|(kind, _)| *kind == "link"));
            most = most.max(held.len());
            let gone = || Ok(existing().is_some_and(|all| all.is_disjoint(&held)));
            expect::until("the end of all it held", LIMIT, gone).unwrap_or_else(|e| panic!("kill {n}: {e}"));
        }
        eprintln!(
            "{} kills in {:?}, {capturing} while capturing, {most} objects at most",
            kills(),
            start.elapsed()
        );
    });
    assert!(capturing >= kills() / 2 && most >= 10, "{capturing} of them captured, {most} objects at most");
    // And after all that, one that is let live.
    let before = storm.dropped();
    let observer = storm.watch(&[]);
    storm.send(1, 100);
    let told = storm.end(observer);
    assert_eq!((told.named() + told.rest, storm.dropped() - before), (100, 100), "{}", told.talk);
}
