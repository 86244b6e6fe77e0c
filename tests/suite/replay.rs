//! Files of flows: what is recorded is read by both clients, however it was packed, cut up or broken off; and what a file may be.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use netdrop_tests::flowgen::FlowGen;
use netdrop_tests::observer::die_with_parent;
use netdrop_tests::stock;

use crate::harness::binary;
use crate::servers::{output, text, until};

const FLOWS: usize = 1000;

fn flows() -> String {
    FlowGen::new(1).expect("a generator").responses(FLOWS, stock::for_stock)
}

/// A folder with a file of that name.
fn file(name: &str, content: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join(name);
    fs::write(&path, content).expect("a file");
    (folder, path)
}

/// What a client shows of a file as JSON.
fn shown(client: &Path, file: &Path) -> String {
    let line = ["observe", "-o", "json", "--input-file", &file.display().to_string()].map(str::to_owned);
    let done = stock::run(client, &line, &[]).expect("the client runs");
    assert_eq!(done.code, Some(0), "{}: {}", file.display(), String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).expect("text")
}

/// A recorded file, and those before it, in the order they were written; unpacked by the programs that everybody has.
fn unpacked(file: &Path) -> String {
    let folder = file.parent().expect("a folder");
    let mut files: Vec<PathBuf> =
        fs::read_dir(folder).expect("a folder").map(|e| e.expect("an entry").path()).collect();
    // The time in the name of one that was put away is before the ending of the one at hand.
    files.sort_by_key(|f| (f == file, f.clone()));
    let unpack = |f: &PathBuf| match f.extension().and_then(|e| e.to_str()) {
        Some("gz") => text(&output(Path::new("gzip"), &["-dc", &f.display().to_string()])),
        Some("zst") => text(&output(Path::new("zstd"), &["-qdc", &f.display().to_string()])),
        _ => fs::read_to_string(f).expect("a file"),
    };
    files.iter().map(unpack).collect()
}

/// Whether a program is there to unpack with; one line says so where it is not.
#[expect(clippy::print_stderr, reason = "what did not run is said")]
fn has(program: &str) -> bool {
    let has = Command::new(program).arg("--version").output().is_ok();
    if !has {
        eprintln!(
            "SKIPPED replay::a_recorded_file_is_the_same_to_both_clients, packed: there is no {program} here"
        );
    }
    has
}

#[test]
fn a_recorded_file_is_the_same_to_both_clients() {
    let (_folder, flows) = file("flows.json", flows().as_bytes());
    let ours = shown(&binary(), &flows);
    let hubble = stock::client("recorded files beside the stock client").expect("the stock client");
    if let Some(hubble) = &hubble {
        assert_eq!(shown(hubble, &flows), ours);
    }
    let flows = flows.display().to_string();
    let (gzip, zstd) = (Some("gzip"), Some("zstd"));
    for (name, most, packer) in [
        ("all.json", "100M", None),
        ("all.json.gz", "100M", gzip),
        ("all.json.zst", "100M", zstd),
        ("part.json", "100K", None),
        ("part.json.gz", "20K", gzip),
        ("part.json.zst", "20K", zstd),
    ] {
        if packer.is_some_and(|program| !has(program)) {
            continue;
        }
        let folder = tempfile::tempdir().expect("a folder");
        let recorded = folder.path().join(name);
        let path = recorded.display().to_string();
        let done = output(&binary(), &["record", &path, "--input-file", &flows, "--max-size", most]);
        assert!(done.status.success(), "{done:?}");
        let all = unpacked(&recorded);
        let (_folder, plain) = file("plain.json", all.as_bytes());
        assert_eq!(shown(&binary(), &plain), ours, "{name}");
        if let Some(hubble) = &hubble {
            assert_eq!(shown(hubble, &plain), ours, "{name}");
        }
        if name.starts_with("all") {
            assert_eq!(shown(&binary(), &recorded), ours, "{name}");
            assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1);
        }
    }
}

/// A recorder of what comes on its standard input.
fn recorder(path: &Path) -> Child {
    let mut command = Command::new(binary());
    command.arg("record").arg(path).args(["--input-file", "-"]);
    die_with_parent(&mut command);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("netdrop starts")
}

/// What is in the file when its writer is killed is read; what a torn end cost is said.
#[test]
fn what_a_killed_recorder_has_written_is_read() {
    // What is no flow is told on stderr.
    let flows = flows();
    let flows: Vec<&str> = flows.split_inclusive('\n').filter(|l| l.starts_with("{\"flow\"")).collect();
    let (count, flows) = (flows.len(), flows.concat());
    for name in ["flows.json", "flows.json.gz", "flows.json.zst"] {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(name);
        let mut recorder = recorder(&path);
        let mut stdin = recorder.stdin.take().expect("a pipe");
        stdin.write_all(flows.as_bytes()).expect("lines");
        let file = path.display().to_string();
        let read = || output(&binary(), &["observe", "-o", "json", "--input-file", &file]);
        until("all lines in the file", || text(&read()).lines().count() == count);
        stdin.write_all(flows.as_bytes()).expect("lines");
        recorder.kill().expect("it is killed");
        recorder.wait().expect("it ends");
        drop(stdin);
        let done = read();
        assert!(text(&done).lines().count() >= count, "{name}");
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(done.status.success() || said.contains(name), "{said}");
        // As a file is that the power was cut from.
        let whole = fs::read(&path).expect("a file");
        let torn = File::options().write(true).open(&path).expect("a file");
        torn.set_len(whole.len() as u64 - 5).expect("a shorter file");
        let done = read();
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(said.contains(name), "{name}: {said}");
        if name == "flows.json" {
            assert!(text(&done).lines().count() >= count - 1 && said.contains("line "), "{said}");
        } else {
            assert!(!done.status.success(), "{name}");
        }
    }
}

/// Exit code, lines on stdout, stderr.
fn observe(path: &Path) -> (Option<i32>, usize, String) {
    let done = output(&binary(), &["observe", "-o", "json", "--input-file", &path.display().to_string()]);
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    (done.status.code(), text(&done).lines().count(), said)
}

const LINE: &str = "{\"flow\":{\"uuid\":\"u\"}}\n";

#[test]
fn what_is_wrong_with_a_file_is_said() {
    let read = |name: &str, content: &[u8]| {
        let (_folder, path) = file(name, content);
        observe(&path)
    };
    assert_eq!(read("empty.json", b""), (Some(0), 0, String::new()));
    assert_eq!(
        read("crlf.json", LINE.replace('\n', "\r\n").repeat(3).as_bytes()),
        (Some(0), 3, String::new())
    );
    let long = format!("{{\"flow\":{{\"uuid\":\"{}\"}}}}\n", "x".repeat(1 << 20));
    assert_eq!(read("long.json", [&long, LINE].concat().as_bytes()), (Some(0), 2, String::new()));

    let (code, lines, said) = read("bom.json", ["\u{feff}", LINE, LINE].concat().as_bytes());
    assert_eq!((code, lines), (Some(0), 1), "{said}");
    assert!(
        said.contains("bom.json: line 1 is left out: ") && said.contains(": 1 of the lines of "),
        "{said}"
    );
    let bad = [LINE, "nonsense\n", LINE, "\u{1b}[31m\n", LINE].concat();
    let (code, lines, said) = read("bad.json", bad.as_bytes());
    assert_eq!((code, lines), (Some(0), 3), "{said}");
    assert!(said.contains("line 2 is left out") && said.contains("line 4 is left out"), "{said}");
    assert!(said.contains("2 of the lines of ") && !said.contains('\u{1b}'), "{said}");
    let unknown = "{\"flow\":{\"uuid\":\"u\",\"newer\":1}}\n".repeat(3);
    let (code, lines, said) = read("unknown.json", unknown.as_bytes());
    assert_eq!((code, lines, said.matches("newer netdrop").count()), (Some(0), 3, 1), "{said}");

    let (code, lines, said) = observe(Path::new("/tmp"));
    assert_eq!((code, lines), (Some(1), 0));
    assert!(said.contains("/tmp") && said.contains("directory"), "{said}");
    for (name, content) in [("torn.gz", b"\x1f\x8b\x08".as_slice()), ("torn.zst", b"\x28\xb5\x2f\xfd\x04")] {
        let (code, _, said) = read(name, content);
        assert!(code == Some(1) && said.contains(name), "{said}");
        let (code, _, said) = read(name, b"no such format");
        assert!(code == Some(1) && said.contains(name), "{said}");
    }
}

/// A line without an end takes no memory, and costs the others nothing.
#[test]
fn a_line_of_a_hundred_megabytes_is_left_out() {
    let mut command = Command::new(binary());
    command.args(["observe", "-o", "json", "--input-file", "-"]);
    die_with_parent(&mut command);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut netdrop = command.spawn().expect("netdrop starts");
    let mut input = netdrop.stdin.take().expect("a pipe");
    input.write_all(LINE.as_bytes()).expect("a line");
    let part = vec![b'x'; 1 << 20];
    for _ in 0..100 {
        input.write_all(&part).expect("a line");
    }
    let most = fs::read_to_string(format!("/proc/{}/status", netdrop.id())).expect("it runs");
    let most = most.lines().find_map(|l| l.strip_prefix("VmHWM:")).expect("a number").trim().to_owned();
    let most: u64 = most.trim_end_matches(" kB").parse().expect("a number");
    input.write_all(["\n", LINE].concat().as_bytes()).expect("a line");
    drop(input);
    let done = netdrop.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert_eq!((done.status.code(), text(&done).lines().count()), (Some(0), 2), "{said}");
    assert!(said.contains("line 2 is left out: longer than 16 MiB"), "{said}");
    assert!(most < 100_000, "{most} kB were in use");
}

#[test]
fn a_pipe_is_read_as_it_comes() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("pipe");
    assert!(output(Path::new("mkfifo"), &[&path.display().to_string()]).status.success());
    let mut command = Command::new(binary());
    command.args(["observe", "-o", "json", "--input-file"]).arg(&path);
    die_with_parent(&mut command);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("netdrop starts");
    let mut writer = File::options().write(true).open(&path).expect("a reader comes");
    let mut lines = netdrop_tests::expect::Lines::new(child.stdout.take().expect("a pipe"));
    for _ in 0..3 {
        writer.write_all(LINE.as_bytes()).expect("a line");
        lines.find("a line", crate::harness::LIMIT, |l| l.contains("\"u\"")).expect("it is shown at once");
    }
    drop(writer);
    assert!(child.wait().expect("it ends").success());
}
