//! A client in the cluster that follows, and whose output grows in a file.

use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};

use tempfile::NamedTempFile;

use super::{flows, knock, names, until, xtask};

pub struct Follower {
    client: Child,
    told: NamedTempFile,
}

impl Follower {
    /// Runs `cargo xtask cluster ...`, a client that prints JSON.
    pub fn start(words: &[&str]) -> Self {
        let told = NamedTempFile::new().expect("a temporary file");
        let client = Command::new(xtask())
            .arg("cluster")
            .args(words)
            .stdin(Stdio::null())
            .stdout(File::create(told.path()).expect("a temporary file can be written"))
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .expect("a client starts");
        Self { client, told }
    }

    /// Knocks from checkout-api at a denied pod, both on n1, until the client tells of one more of these drops. It is the same client.
    pub fn tells_more(&mut self, denied: &str) {
        let before = self.seen();
        until("a drop by way of the relay", 60, || {
            knock("checkout-api", denied);
            (self.seen() > before).then_some(())
        });
        assert!(
            self.client.try_wait().expect("it can be looked at").is_none(),
            "the client had to connect anew"
        );
    }

    fn seen(&self) -> usize {
        let text = fs::read_to_string(self.told.path()).unwrap_or_default();
        flows(&text).iter().filter(|v| names(v, "checkout-api", "payments-db", "n1")).count()
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        // With what it started: the client itself.
        let group = format!("-{}", self.client.id());
        drop(Command::new("kill").args(["-9", "--", &group]).status());
        drop(self.client.wait());
    }
}
