//! Hostile packets in a file, as Wireshark's tools read them: none is refused, each has its time, its lengths and its comment.
#![expect(clippy::unwrap_used, reason = "a test says what it expects")]

use std::fs::File;
use std::process::Command;

use jiff::Timestamp;
use netdrop::flow::{Flow, Frame, Interface, Netns, Observation, Process, Verdict};
use netdrop::sink::{Pcapng, Sink as _};
use netdrop_tests::traffic::hostile::{self, Ends};

/// So much of a packet is kept.
const KEPT: usize = 142;
const FIRST_NS: i128 = 1_700_000_000_000_000_001;

fn run(program: &str, args: &[&str]) -> Option<String> {
    let done = Command::new(program).args(args).output().ok()?;
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(done.status.success(), "{program} {args:?}: {said}");
    assert!(
        !said.contains("damaged") && !said.contains("malformed") && !said.contains("cut short"),
        "{said}"
    );
    Some(String::from_utf8(done.stdout).unwrap())
}

fn flow(number: usize, name: &str, frame: &[u8]) -> Flow {
    // Each a nanosecond, and each tenth a second after the one before it.
    let time = FIRST_NS + number as i128 + (number / 10) as i128 * 1_000_000_000;
    let mut flow = Flow::new(Timestamp::from_nanosecond(time).unwrap(), Verdict::Dropped);
    let kept = &frame[..frame.len().min(KEPT)];
    flow.frame = Some(Box::new(Frame {
        bytes: kept.into(),
        length: u32::try_from(frame.len()).unwrap(),
        without_mac: number.is_multiple_of(3),
    }));
    let index = u32::try_from(number % 5).unwrap();
    flow.interface = (index > 0).then(|| Interface {
        index,
        name: (index > 1).then(|| format!("eth{index}\u{1b}[31m\u{202e}").into()),
    });
    flow.netns = (index > 2).then(|| Netns { inode: index, name: Some("two\nlines".into()) });
    flow.process = Some(Process { pid: 1, tid: 1, comm: format!("{name}\u{1b}]0;\t").into(), owner: false });
    flow
}

#[test]
fn wiresharks_tools_read_hostile_packets() {
    if Command::new("tshark").arg("--version").output().is_err() {
        eprintln!("SKIPPED hostile packets by Wireshark's tools: there is no tshark here");
        return;
    }
    let ends = Ends {
        from4: [10, 0, 1, 2].into(),
        to4: [10, 0, 2, 2].into(),
        from6: "fd00:1::2".parse().unwrap(),
        to6: "fd00:2::2".parse().unwrap(),
    };
    let mut flows = Vec::new();
    for fill in [0, 1400] {
        for packet in hostile::all(ends, fill) {
            let frame = [&[2; 12][..], &packet.ether_type.to_be_bytes(), &packet.bytes].concat();
            flows.push(flow(flows.len(), &packet.name, &frame));
        }
    }
    // As short as can be.
    for length in 0..15 {
        flows.push(flow(flows.len(), "short", &[0xff; 15][..length]));
    }
    let path = std::env::temp_dir().join(format!("netdrop-hostile-{}.pcapng", std::process::id()));
    let mut sink = Pcapng::new(File::create(&path).unwrap());
    for flow in &flows {
        sink.write(&Observation::Flow(flow.clone())).unwrap();
    }
    sink.finish().unwrap();
    let file = path.display().to_string();
    let fields = ["frame.time_epoch", "frame.cap_len", "frame.len", "frame.comment"];
    let mut args = vec!["-r", &file, "-T", "fields"];
    args.extend(fields.iter().flat_map(|f| ["-e", f]));
    let text = run("tshark", &args).unwrap();
    let info = run("capinfos", &["-M", "-c", "-I", &file]).unwrap();
    std::fs::remove_file(&path).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), flows.len());
    for (line, flow) in lines.iter().zip(&flows) {
        let columns: Vec<&str> = line.split('\t').collect();
        let (time, frame) = (flow.tally.first.as_nanosecond(), flow.frame.as_ref().unwrap());
        let time = format!("{}.{:09}", time / 1_000_000_000, time % 1_000_000_000);
        let lengths = [frame.bytes.len().to_string(), frame.length.to_string()];
        assert_eq!(columns[..3], [time, lengths[0].clone(), lengths[1].clone()], "{line}");
        assert!(columns[3].starts_with("no reason; running ") && !line.contains('\u{1b}'), "{line}");
    }
    assert!(info.contains(&flows.len().to_string()) && info.contains("Ethernet"), "{info}");
}
