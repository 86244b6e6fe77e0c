//! `perf stat` on the same tracepoint, as another observer would use it.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A running `perf stat -e skb:kfree_skb`, counting.
pub struct PerfStat {
    perf: Child,
    control: File,
    directory: tempfile::TempDir,
}

impl PerfStat {
    /// Counts drops of frames with this EtherType on the whole machine. perf needs tracefs: it gets one in a mount namespace of
    /// its own.
    pub fn start(ether_type: u16) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let [control, answers] = ["control", "answers"].map(|name| fifo(directory.path(), name));
        let script = "mount -t tracefs tracefs /sys/kernel/tracing 2>/dev/null || test -e /sys/kernel/tracing/events && exec perf \"$@\"";
        let perf = Command::new("unshare")
            .args([
                "--mount",
                "sh",
                "-c",
                script,
                "perf",
                "stat",
                "--all-cpus",
                "--delay=-1",
                "--field-separator=,",
            ])
            .arg(format!("--control=fifo:{},{}", control.display(), answers.display()))
            .arg(format!("--output={}", directory.path().join("counts").display()))
            .args(["--event=skb:kfree_skb", &format!("--filter=protocol == {ether_type}")])
            .args(["--", "cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("unshare and perf run (package linux-perf)");
        // Read and write, so that opening does not wait for perf.
        let open = |path: &Path| OpenOptions::new().read(true).write(true).open(path).expect("a fifo");
        let mut control = open(&control);
        control.write_all(b"enable\n").expect("perf listens");
        let mut answer = String::new();
        BufReader::new(open(&answers)).read_line(&mut answer).expect("perf answers");
        assert_eq!(answer.trim_matches(['\0', '\n']), "ack");
        Self { perf, control, directory }
    }

    /// Ends it and gives what it counted.
    pub fn count(mut self) -> u64 {
        self.control.write_all(b"disable\n").expect("perf listens");
        // The end of its input ends `cat`, which ends perf.
        drop(self.perf.stdin.take());
        self.perf.wait().expect("perf ends");
        let counts =
            fs::read_to_string(self.directory.path().join("counts")).expect("perf writes its counts");
        let line = counts.lines().find(|line| line.contains("skb:kfree_skb")).expect("the event is counted");
        line.split(',')
            .next()
            .and_then(|count| count.parse().ok())
            .unwrap_or_else(|| panic!("no count in {line}"))
    }
}

fn fifo(directory: &Path, name: &str) -> std::path::PathBuf {
    let path = directory.join(name);
    let made = Command::new("mkfifo").arg(&path).status().expect("mkfifo runs");
    assert!(made.success() && fs::exists(&path).expect("a path"), "mkfifo made no fifo");
    path
}
