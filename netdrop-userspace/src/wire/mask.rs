//! Field masks: which fields of a flow are wanted.

use super::json::{Branch, Field, Message as _, Tree};
use crate::proto::flow::Flow;

/// What Hubble's client asks a server for where nothing else is shown: the columns of the text formats. With what
/// `--print-policy-names` shows, which the client learned after 1.19.
pub const DEFAULT: [&str; 26] = [
    "time",
    "verdict",
    "ethernet",
    "IP",
    "l4",
    "source.identity",
    "source.namespace",
    "source.pod_name",
    "destination.identity",
    "destination.namespace",
    "destination.pod_name",
    "Type",
    "node_name",
    "l7",
    "event_type",
    "source_service",
    "destination_service",
    "is_reply",
    "Summary",
    "ip_trace_id",
    "traffic_direction",
    "policy_match_type",
    "ingress_allowed_by",
    "ingress_denied_by",
    "egress_allowed_by",
    "egress_denied_by",
];

/// A path that no flow has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid path {path:?} for message \"flow.Flow\"")]
pub struct MaskError {
    path: String,
}

/// Dotted paths, ready to be applied.
#[derive(Clone, Debug, Default)]
pub struct FieldMask {
    /// `None`: no paths, which asks for everything.
    tree: Option<Tree>,
}

impl FieldMask {
    /// Checks every path against `flow.Flow`. No paths at all ask for everything.
    pub fn parse<S: AsRef<str>>(paths: &[S]) -> Result<Self, MaskError> {
        if paths.is_empty() {
            return Ok(Self::default());
        }
        let mut tree = empty(Flow::fields());
        for path in paths {
            let path = path.as_ref();
            if !add(&mut tree, Flow::fields(), path) {
                return Err(MaskError { path: path.to_owned() });
            }
        }
        Ok(Self { tree: Some(tree) })
    }

    /// Whether it keeps everything.
    pub fn is_empty(&self) -> bool {
        self.tree.is_none()
    }

    /// What is kept; `None`: everything.
    pub(super) fn into_tree(self) -> Option<Tree> {
        self.tree
    }

    /// Clears all fields that no path names.
    pub fn apply(&self, flow: &mut Flow) {
        if let Some(tree) = &self.tree {
            flow.keep(tree);
        }
    }
}

fn empty(fields: &[Field]) -> Tree {
    Tree(fields.iter().map(|_| Branch::Clear).collect())
}

/// Adds one path; `false`: there is no such field.
fn add(tree: &mut Tree, fields: &'static [Field], path: &str) -> bool {
    let (name, rest) = path.split_once('.').map_or((path, None), |(name, rest)| (name, Some(rest)));
    let Some(index) = fields.iter().position(|f| f.name == name) else {
        return false;
    };
    let Some(rest) = rest else {
        tree.0[index] = Branch::Keep;
        return true;
    };
    let Some(inner) = fields[index].inner else {
        return false;
    };
    match &mut tree.0[index] {
        Branch::Within(tree) => add(tree, inner, rest),
        // The whole is kept already; the path must still be one.
        Branch::Keep => add(&mut empty(inner), inner, rest),
        branch @ Branch::Clear => {
            let mut tree = empty(inner);
            let found = add(&mut tree, inner, rest);
            *branch = Branch::Within(tree);
            found
        }
    }
}

#[cfg(test)]
mod tests {
    use prost_types::Timestamp;

    use super::*;
    use crate::proto::flow::layer4::Protocol;
    use crate::proto::flow::{Endpoint, Layer4, Tcp, Udp};

    fn flow() -> Flow {
        Flow {
            time: Some(Timestamp { seconds: 5, nanos: 6 }),
            verdict: 2,
            uuid: "u".into(),
            source: Some(Endpoint {
                id: 1,
                identity: 2,
                namespace: "n".into(),
                pod_name: "p".into(),
                ..Endpoint::default()
            }),
            l4: Some(Layer4 {
                protocol: Some(Protocol::Tcp(Tcp { source_port: 1, destination_port: 2, flags: None })),
            }),
            node_labels: vec!["a=b".into()],
            is_reply: Some(true),
            ..Flow::default()
        }
    }

    fn masked(paths: &[&str]) -> Flow {
        let mut f = flow();
        FieldMask::parse(paths).unwrap().apply(&mut f);
        f
    }

    #[test]
    fn paths_keep_what_they_name() {
        assert_eq!(masked(&[]), flow());
        assert_eq!(masked(&["verdict"]), Flow { verdict: 2, ..Flow::default() });
        let source = Some(Endpoint { identity: 2, pod_name: "p".into(), ..Endpoint::default() });
        assert_eq!(masked(&["source.identity", "source.pod_name"]), Flow { source, ..Flow::default() });
        assert_eq!(masked(&["source.ID", "source"]), Flow { source: flow().source, ..Flow::default() });
        assert_eq!(masked(&["source", "source.ID"]), Flow { source: flow().source, ..Flow::default() });
        let time = Some(Timestamp { seconds: 5, nanos: 0 });
        assert_eq!(
            masked(&["time.seconds", "is_reply.value"]),
            Flow { time, is_reply: Some(true), ..Flow::default() }
        );
    }

    #[test]
    fn only_the_protocol_that_is_there_is_masked() {
        let l4 = |protocol| Some(Layer4 { protocol });
        let tcp = Tcp { destination_port: 2, ..Tcp::default() };
        assert_eq!(masked(&["l4.TCP.destination_port"]).l4, l4(Some(Protocol::Tcp(tcp))));
        assert_eq!(masked(&["l4.UDP"]).l4, l4(None));
        let mut f = flow();
        f.l4 = l4(Some(Protocol::Udp(Udp::default())));
        FieldMask::parse(&["l4.UDP"]).unwrap().apply(&mut f);
        assert_eq!(f.l4, l4(Some(Protocol::Udp(Udp::default()))));
    }

    #[test]
    fn a_message_of_which_some_is_asked_is_there() {
        assert_eq!(masked(&["destination.identity"]).destination, Some(Endpoint::default()));
    }

    #[test]
    fn wrong_paths_are_named() {
        for path in [
            "nope",
            "",
            "source.nope",
            "verdict.x",
            "node_labels.x",
            "source.",
            ".source",
            "source.workloads.name",
            "nodeName",
        ] {
            let e = FieldMask::parse(&["time", path]).unwrap_err().to_string();
            assert_eq!(e, format!("invalid path {path:?} for message \"flow.Flow\""));
        }
        FieldMask::parse(&["source", "source.nope"]).unwrap_err();
        FieldMask::parse(&DEFAULT).unwrap();
    }
}
