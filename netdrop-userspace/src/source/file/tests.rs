use std::io::Write as _;
use std::sync::{Arc, Mutex};

use super::lines::LONGEST;
use super::*;
use crate::proto::observer::get_flows_response::ResponseTypes;

async fn all(path: &Path) -> (usize, Vec<Trouble>, Option<String>) {
    let troubles = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&troubles);
    let mut source = FileSource::open(path, move |t| told.lock().unwrap().push(t)).unwrap();
    let (mut batch, mut error) = (Vec::new(), None);
    loop {
        match source.next(&mut batch).await {
            Ok(true) => {}
            Ok(false) => break,
            Err(e) => {
                error = Some(e.to_string());
                break;
            }
        }
    }
    let troubles = troubles.lock().unwrap().clone();
    (batch.len(), troubles, error)
}

fn file(name: &str, content: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    std::fs::write(&path, content).unwrap();
    (dir, path)
}

const LINE: &str = "{\"flow\":{\"uuid\":\"u\"}}\n";

#[tokio::test]
async fn bad_lines_are_named_and_the_rest_is_read() {
    let long = format!("{{\"flow\":{{\"uuid\":\"{}\"}}}}\n", "x".repeat(200_000));
    let text = format!("{LINE}nonsense\r\n{long}\n{{\"new\":1}}\n{{\"other\":2}}");
    let (_dir, path) = file("flows.json", &[text.as_bytes(), b"\n\xff\n", LINE.trim().as_bytes()].concat());
    let (read, troubles, error) = all(&path).await;
    assert_eq!((read, error), (5, None));
    let lines: Vec<(bool, u64)> = troubles
        .iter()
        .map(|t| match t {
            Trouble::Bad { line, .. } => (true, *line),
            Trouble::Unknown { line, .. } => (false, *line),
        })
        .collect();
    assert_eq!(lines, [(true, 2), (true, 4), (false, 5), (true, 7)]);
}

/// Pieces are parsed side by side; what they say stays in the order of the file, and so do numbers of lines.
#[tokio::test]
async fn lines_stay_in_order_however_they_are_cut() {
    use std::fmt::Write as _;

    let mut text = String::new();
    for i in 0..20_000u32 {
        if i % 5_000 == 17 {
            text.push_str("nonsense\n");
        } else if i == 9_000 {
            text.push_str(&"x".repeat(LONGEST + 3));
            text.push('\n');
        } else {
            let filling = "y".repeat(usize::try_from(i % 97).unwrap());
            writeln!(text, "{{\"flow\":{{\"uuid\":\"{i}\",\"Summary\":\"{filling}\"}},\"new\":{i}}}")
                .unwrap();
        }
    }
    let (_dir, path) = file("flows.json", text.trim_end().as_bytes());
    let troubles = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&troubles);
    let mut source = FileSource::open(&path, move |t| told.lock().unwrap().push(t)).unwrap();
    let mut batch = Vec::new();
    while source.next(&mut batch).await.unwrap() {}
    let uuids: Vec<u32> = batch
        .iter()
        .map(|r| match &r.response_types {
            Some(ResponseTypes::Flow(flow)) => flow.uuid.parse().unwrap(),
            _ => panic!("no flow"),
        })
        .collect();
    let expected: Vec<u32> = (0..20_000).filter(|i| i % 5_000 != 17 && *i != 9_000).collect();
    assert_eq!(uuids, expected);
    let told: Vec<(bool, u64)> = troubles
        .lock()
        .unwrap()
        .iter()
        .map(|t| match t {
            Trouble::Bad { line, .. } => (true, *line),
            Trouble::Unknown { line, .. } => (false, *line),
        })
        .collect();
    assert_eq!(told, [(false, 1), (true, 18), (true, 5_018), (true, 9_001), (true, 10_018), (true, 15_018)]);
}

#[tokio::test]
async fn a_line_without_end_is_left_out() {
    let mut text = vec![b'x'; LONGEST + 5];
    text.extend([b"\n", LINE.as_bytes()].concat());
    let (_dir, path) = file("flows.json", &text);
    let (read, troubles, _) = all(&path).await;
    assert_eq!(read, 1);
    assert!(
        matches!(&troubles[..], [Trouble::Bad { line: 1, why }] if why.contains("16 MiB")),
        "{troubles:?}"
    );
}

#[tokio::test]
async fn packed_files_of_several_parts_are_read() {
    let text = LINE.repeat(1000);
    let (_dir, path) = file("flows.json.gz", b"");
    let mut out = File::create(&path).unwrap();
    for _ in 0..2 {
        let mut pack = flate2::write::GzEncoder::new(&mut out, flate2::Compression::fast());
        pack.write_all(text.as_bytes()).unwrap();
        pack.finish().unwrap();
    }
    assert_eq!(all(&path).await, (2000, vec![], None));
    let frame =
        ruzstd::encoding::compress_to_vec(text.as_bytes(), ruzstd::encoding::CompressionLevel::Fastest);
    let (_dir, path) = file("flows.json.zst", &[&frame[..], &frame].concat());
    assert_eq!(all(&path).await, (2000, vec![], None));
    let (_dir, path) = file("flows.json.zst", &frame[..frame.len() / 2]);
    let (_, _, error) = all(&path).await;
    assert!(error.unwrap().contains("flows.json.zst"));
}

#[tokio::test]
async fn what_is_no_file_of_lines_is_one_error() {
    let (_dir, path) = file("flows.xz", &[b"\xfd7zXZ\0\0\x04\n\n\n".to_vec(), vec![0x8f; 5000]].concat());
    let (read, troubles, error) = all(&path).await;
    assert_eq!((read, troubles), (0, vec![]));
    assert!(error.unwrap().contains("flows.xz"));
    // Packed twice.
    let mut pack = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    pack.write_all(&[b"flows".to_vec(), vec![0; 252], b"ustar".to_vec(), vec![0; 300]].concat()).unwrap();
    let (_dir, path) = file("flows.tar.gz", &pack.finish().unwrap());
    let (_, troubles, error) = all(&path).await;
    assert!(error.is_some_and(|e| e.contains("flows.tar.gz")) && troubles.is_empty());
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let e = FileSource::open(Path::new("/nonexistent.json"), |_| {}).unwrap_err();
    assert!(format!("{e:#}").contains("cannot open /nonexistent.json"), "{e:#}");
}
