//! A names file: `ADDRESS[/LEN]  NAMESPACE/NAME  [key=value,key=value]`, an entry a line; `#` begins a comment.
//!
//! `NAMESPACE/svc:NAME` is a service, `node:NAME` a node (with a prefix: the network of its pods). The longest prefix wins.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, bail, ensure};
use ipnet::IpNet;

use crate::flow::{EndpointInfo, ServiceName};

/// Larger than this is no names file.
const MAX_BYTES: u64 = 64 * 1024 * 1024;
/// Mistakes told at once.
const MAX_MISTAKES: usize = 10;

/// What a line names.
#[derive(Debug, PartialEq)]
pub(super) enum Entry {
    Endpoint(IpNet, Arc<EndpointInfo>),
    Service(IpNet, Arc<ServiceName>),
    Node(IpNet, Arc<str>),
}

pub(super) fn read(path: &Path) -> anyhow::Result<Vec<Entry>> {
    let shown = path.display();
    let meta = std::fs::metadata(path).with_context(|| format!("cannot read the names file {shown}"))?;
    ensure!(meta.is_file(), "the names file {shown} is not a regular file");
    ensure!(
        meta.len() <= MAX_BYTES,
        "the names file {shown} has {} bytes; the limit is {MAX_BYTES}",
        meta.len()
    );
    let text =
        std::fs::read_to_string(path).with_context(|| format!("cannot read the names file {shown}"))?;
    parse(&text).map_err(|mistakes| anyhow::anyhow!("names file {shown}:\n{mistakes}"))
}

fn parse(text: &str) -> Result<Vec<Entry>, String> {
    let (mut entries, mut mistakes) = (Vec::new(), Vec::new());
    for (i, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        match entry(line) {
            Ok(entry) => entries.push(entry),
            Err(e) => mistakes.push(format!("  line {}: {e}", i + 1)),
        }
    }
    if mistakes.is_empty() {
        return Ok(entries);
    }
    let more = mistakes.len().saturating_sub(MAX_MISTAKES);
    mistakes.truncate(MAX_MISTAKES);
    if more > 0 {
        mistakes.push(format!("  and {more} more"));
    }
    Err(mistakes.join("\n"))
}

fn entry(line: &str) -> anyhow::Result<Entry> {
    let mut words = line.split_whitespace();
    let (Some(address), Some(name)) = (words.next(), words.next()) else {
        bail!("want ADDRESS[/LEN] NAMESPACE/NAME [key=value,...], have {line:?}");
    };
    let net = network(address)?;
    let labels = words.next();
    if let Some(extra) = words.next() {
        bail!("{extra:?} is too much; labels are joined by commas, without blanks");
    }
    if let Some(node) = name.strip_prefix("node:") {
        ensure!(!node.is_empty(), "node: wants a name");
        return Ok(Entry::Node(net, node.into()));
    }
    let Some((namespace, name)) = name.split_once('/') else {
        bail!("{name:?} is no NAMESPACE/NAME");
    };
    ensure!(!namespace.is_empty() && !name.is_empty(), "namespace and name may not be empty");
    if let Some(service) = name.strip_prefix("svc:") {
        ensure!(net.prefix_len() == net.max_prefix_len(), "a service has one address, not the network {net}");
        return Ok(Entry::Service(
            net,
            Arc::new(ServiceName { name: service.into(), namespace: namespace.into() }),
        ));
    }
    let mut labels: Vec<Arc<str>> = labels
        .into_iter()
        .flat_map(|l| l.split(','))
        .map(|label| {
            ensure!(label.contains('='), "label {label:?} is no key=value");
            Ok(Arc::from(format!("k8s:{label}")))
        })
        .collect::<anyhow::Result<_>>()?;
    labels.push(format!("k8s:io.kubernetes.pod.namespace={namespace}").into());
    labels.sort();
    Ok(Entry::Endpoint(
        net,
        Arc::new(EndpointInfo {
            namespace: namespace.into(),
            pod_name: name.into(),
            labels,
            ..EndpointInfo::default()
        }),
    ))
}

fn network(text: &str) -> anyhow::Result<IpNet> {
    if let Ok(net) = text.parse::<IpNet>() {
        return Ok(net.trunc());
    }
    text.parse::<std::net::IpAddr>()
        .map(IpNet::from)
        .map_err(|_| anyhow::anyhow!("{text:?} is neither an address nor a CIDR prefix"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::enrich::Names;

    #[test]
    fn entries_of_every_kind() {
        let text = "\n# pods\n10.1.1.2 production/checkout-api app=checkout,tier=api\n10.1.0.0/16 production/others # net\n\
                    10.96.0.1 default/svc:kubernetes\n192.168.0.1 node:worker-1\n10.1.1.0/24 node:worker-1\nfd00::1 a/b\n";
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("names");
        std::fs::write(&path, text).unwrap();
        let names = Names::default();
        names.load_file(&path).unwrap();
        let at = jiff::Timestamp::UNIX_EPOCH;
        let pod = names.endpoint("10.1.1.2".parse().unwrap(), at);
        assert_eq!((pod.namespace(), pod.pod_name()), ("production", "checkout-api"));
        assert_eq!(pod.labels().len(), 3);
        assert_eq!(names.endpoint("10.1.9.9".parse().unwrap(), at).pod_name(), "others");
        assert_eq!(&*names.service("10.96.0.1".parse().unwrap()).unwrap().name, "kubernetes");
        assert_eq!(names.node_of("10.1.1.77".parse().unwrap(), at).as_deref(), Some("worker-1"));
        assert!(names.status().synced);
    }

    #[test]
    fn mistakes_are_told_with_their_lines() {
        let e = parse("10.1.1 a/b\n10.1.1.1\n\n10.1.1.1 a\n10.1.1.1 a/b nolabel\n10.0.0.0/8 a/svc:x\n10.1.1.1 a/b c=d e\n").unwrap_err();
        for part in ["line 1", "line 2", "line 4", "line 5", "line 6", "line 7"] {
            assert!(e.contains(part), "{e}");
        }
        let many = "x y\n".repeat(50);
        assert!(parse(&many).unwrap_err().ends_with("and 40 more"));
    }

    #[test]
    fn a_file_that_is_none_is_named() {
        let e = read(Path::new("/nonexistent/names")).unwrap_err().to_string();
        assert!(e.contains("/nonexistent/names"), "{e}");
        assert!(read(Path::new("/dev/zero")).unwrap_err().to_string().contains("not a regular file"));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in any::<String>()) {
            let _ = parse(&text);
        }
    }
}
