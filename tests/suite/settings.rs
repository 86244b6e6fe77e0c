//! Flags from the environment and from the config file, and the file itself.

use std::path::Path;
use std::process::Command;

use netdrop_tests::stock;

use crate::harness;

/// What a client printed and said, and its exit code.
fn run(client: &Path, home: &Path, line: &[&str], env: &[(&str, &str)]) -> (Option<i32>, String, String) {
    let mut command = Command::new(client);
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if name.starts_with("HUBBLE_") || name.starts_with("NETDROP_") {
            command.env_remove(name);
        }
    }
    command.env("HOME", home).env_remove("XDG_CONFIG_HOME").envs(env.iter().copied());
    let output = command.args(line).output().expect("the client runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// The verdict that is asked for.
fn verdict(home: &Path, line: &[&str], env: &[(&str, &str)]) -> String {
    let line = [&["observe", "--print-raw-filters"], line].concat();
    let (code, filters, said) = run(&harness::binary(), home, &line, env);
    assert_eq!((code, said.as_str()), (Some(0), ""), "{line:?}");
    let (_, rest) = filters.split_once("[\"").unwrap_or(("", "none\""));
    rest.split('"').next().unwrap_or_default().to_owned()
}

#[test]
fn what_was_typed_comes_first_and_the_file_last() {
    let home = tempfile::tempdir().expect("a folder");
    let home = home.path();
    let (ours, theirs) = (("NETDROP_VERDICT", "AUDIT"), ("HUBBLE_VERDICT", "ERROR"));
    assert_eq!(verdict(home, &[], &[]), "none");
    let (code, _, said) = run(&harness::binary(), home, &["config", "set", "verdict", "TRACED"], &[]);
    assert_eq!((code, said.as_str()), (Some(0), ""));
    assert_eq!(verdict(home, &[], &[]), "TRACED");
    assert_eq!(verdict(home, &[], &[theirs]), "ERROR");
    assert_eq!(verdict(home, &[], &[theirs, ours]), "AUDIT");
    assert_eq!(verdict(home, &["--verdict", "DROPPED"], &[theirs, ours]), "DROPPED");
    // An empty variable is none.
    assert_eq!(verdict(home, &[], &[("NETDROP_VERDICT", "")]), "TRACED");
    let file = home.join("other.yaml");
    std::fs::write(&file, "verdict: [REDIRECTED]\n").expect("a file");
    let file = file.display().to_string();
    assert_eq!(verdict(home, &["--config", &file], &[]), "REDIRECTED");
    assert_eq!(verdict(home, &[], &[("NETDROP_CONFIG", &file)]), "REDIRECTED");
}

#[test]
fn what_is_wrong_with_them_is_told_with_its_place() {
    let home = tempfile::tempdir().expect("a folder");
    let home = home.path();
    let said = |line: &[&str], env: &[(&str, &str)]| {
        let (code, _, said) = run(&harness::binary(), home, line, env);
        assert_eq!(code, Some(1), "{line:?}");
        said
    };
    let follow = said(&["observe", "--print-raw-filters"], &[("NETDROP_FOLLOW", "perhaps")]);
    assert!(
        follow.starts_with("NETDROP_FOLLOW: invalid argument \"perhaps\" for \"-f, --follow\" flag"),
        "{follow}"
    );
    let missing = said(&["observe", "--print-raw-filters", "--config", "/no/such/file"], &[]);
    assert!(missing.starts_with("cannot read the config file /no/such/file: "), "{missing}");
    let file = home.join("broken.yaml");
    std::fs::write(&file, "verdict: [").expect("a file");
    let broken = said(&["observe", "--config", &file.display().to_string()], &[]);
    assert!(broken.starts_with("cannot read the config file ") && broken.lines().count() == 1, "{broken}");
}

/// `config` says what the stock client says.
#[test]
fn the_file_is_changed_as_the_stock_client_does() {
    let Some(hubble) = stock::client("the comparison of config files").expect("the stock client") else {
        return;
    };
    let homes = [tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder")];
    for line in [
        &["get", "debug"][..],
        &["get", "kubeconfig"],
        &["get", "nope"],
        &["get", "a", "b"],
        &["set"],
        &["set", "a", "b", "c"],
        &["set", "nope", "x"],
        &["set", "debug", "maybe"],
        &["set", "debug", "T"],
        &["get", "debug"],
        &["set", "kubeconfig", "/some/where: there"],
        &["get", "kubeconfig"],
        &["set", "kubeconfig", "5"],
        &["get", "kubeconfig"],
        &["reset", "debug"],
        &["get", "debug"],
        &["set", "debug", "1"],
        &["set", "debug"],
        &["get", "debug"],
        &["reset", "a", "b"],
    ] {
        let line = [&["config"], line].concat();
        let mut theirs = run(&hubble, homes[0].path(), &line, &[]);
        let mut ours = run(&harness::binary(), homes[1].path(), &line, &[]);
        // Both log which file they read once `debug` is set there.
        let talk = |said: &str| -> String {
            said.lines().filter(|l| !l.contains("DEBUG")).fold(String::new(), |all, l| all + l + "\n")
        };
        (theirs.2, ours.2) = (talk(&theirs.2), talk(&ours.2));
        // A slip of the pen in theirs.
        ours.2 = ours.2.replace("arguments: reset", "arguments: resset");
        assert_eq!(theirs, ours, "{line:?}");
    }
    let read = |home: &Path, folder: &str| {
        std::fs::read_to_string(home.join(".config").join(folder).join("config.yaml")).expect("a config file")
    };
    assert_eq!(read(homes[0].path(), "hubble"), read(homes[1].path(), "netdrop"));
}
