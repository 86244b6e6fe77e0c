//! Which of Hubble's metrics are wanted, as `--metrics "drop:sourceContext=pod;destinationContext=pod flow"` says it.

use super::context::{Context, ContextError};
use crate::filter::Filters;
use crate::kernel::reasons::closest;

/// One of Hubble's metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Drops, by Hubble's reason.
    Drop,
    /// All flows.
    Flow,
    /// By destination port.
    PortDistribution,
    /// By TCP flag.
    Tcp,
    /// By ICMP type.
    Icmp,
    /// By chunk type.
    Sctp,
    /// To outside of the cluster.
    FlowsToWorld,
    /// Of what no drop has (DNS answers, HTTP, verdicts of policies): known, and nothing to count here.
    Unseen(&'static str),
}

/// By the names that Hubble's flag takes.
const KINDS: [(&str, Kind); 13] = [
    ("drop", Kind::Drop),
    ("flow", Kind::Flow),
    ("port-distribution", Kind::PortDistribution),
    ("tcp", Kind::Tcp),
    ("icmp", Kind::Icmp),
    ("sctp", Kind::Sctp),
    ("flows-to-world", Kind::FlowsToWorld),
    ("dns", Kind::Unseen("dns")),
    ("http", Kind::Unseen("http")),
    ("httpV2", Kind::Unseen("httpV2")),
    ("kafka", Kind::Unseen("kafka")),
    ("policy", Kind::Unseen("policy")),
    ("flows-per-pod", Kind::Unseen("flows-per-pod")),
];

impl Kind {
    /// By name.
    pub fn from_name(name: &str) -> Option<Self> {
        KINDS.iter().find(|k| k.0 == name).map(|k| k.1)
    }

    /// All names, for a message.
    pub fn names() -> impl Iterator<Item = &'static str> {
        KINDS.iter().map(|k| k.0)
    }
}

/// One metric, as configured.
#[derive(Clone, Debug, PartialEq)]
pub struct MetricSpec {
    /// Which.
    pub kind: Kind,
    /// Labels that tell who.
    pub context: Context,
    /// Which flows.
    pub filters: Filters,
    /// `flows-to-world`: drops of any reason, not only of policies.
    pub any_drop: bool,
    /// `flows-to-world`: with the destination port.
    pub port: bool,
    /// `flows-to-world`: of TCP only the first packet of a connection.
    pub syn_only: bool,
}

/// A metric or an option that does not exist.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum MetricError {
    /// No such metric.
    #[error("unknown metric {name:?}{}; there are {}", nearest(.name, Kind::names()), Kind::names().collect::<Vec<_>>().join(", "))]
    Name {
        /// As typed.
        name: String,
    },
    /// No such option of it.
    #[error("metric {metric}: unknown option {option:?}{}", nearest(.option, Context::OPTIONS.into_iter().chain(WORLD_OPTIONS)))]
    Option {
        /// Which metric.
        metric: String,
        /// As typed.
        option: String,
    },
    /// An option's value.
    #[error("metric {metric}: {why}")]
    Value {
        /// Which metric.
        metric: String,
        /// What is wrong with it.
        why: ContextError,
    },
    /// Named twice.
    #[error("metric {name:?} is named twice; put both lists of options into one")]
    Twice {
        /// Which metric.
        name: String,
    },
}

const WORLD_OPTIONS: [&str; 3] = ["any-drop", "port", "syn-only"];

/// `; did you mean X?`, if something is near.
pub(crate) fn nearest<'a>(typed: &str, known: impl Iterator<Item = &'a str>) -> String {
    closest(typed, known).map_or_else(String::new, |near| format!("; did you mean {near}?"))
}

impl MetricSpec {
    /// With nothing but its own labels.
    pub fn new(kind: Kind) -> Self {
        Self {
            kind,
            context: Context::default(),
            filters: Filters::default(),
            any_drop: false,
            port: false,
            syn_only: false,
        }
    }

    /// Of a name and its options; or all that is wrong with them.
    pub fn parse<'a>(
        name: &str,
        options: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, Vec<MetricError>> {
        let Some(kind) = Kind::from_name(name) else {
            return Err(vec![MetricError::Name { name: name.to_owned() }]);
        };
        let mut spec = Self::new(kind);
        let wrong: Vec<_> =
            options.filter_map(|(option, value)| spec.set(name, option, value).err()).collect();
        if wrong.is_empty() { Ok(spec) } else { Err(wrong) }
    }

    fn set(&mut self, name: &str, option: &str, value: &str) -> Result<(), MetricError> {
        let metric = || name.to_owned();
        match option.to_ascii_lowercase().as_str() {
            "any-drop" if self.kind == Kind::FlowsToWorld => self.any_drop = true,
            "port" if self.kind == Kind::FlowsToWorld => self.port = true,
            "syn-only" if self.kind == Kind::FlowsToWorld => self.syn_only = true,
            // Of what is known and counts nothing: a list that Hubble takes is taken whole.
            "query" | "ignoreaaaa" if self.kind == Kind::Unseen("dns") => {}
            "exemplars" if matches!(self.kind, Kind::Unseen("http" | "httpV2")) => {}
            _ => match self.context.set(option, value) {
                Ok(true) => {}
                Ok(false) => return Err(MetricError::Option { metric: metric(), option: option.to_owned() }),
                Err(why) => return Err(MetricError::Value { metric: metric(), why }),
            },
        }
        Ok(())
    }

    /// Of the flag's text: metrics between blanks, options after a colon, between semicolons. Or all that is wrong with it.
    pub fn parse_list(text: &str) -> Result<Vec<Self>, Vec<MetricError>> {
        let (mut specs, mut wrong): (Vec<Self>, Vec<_>) = (Vec::new(), Vec::new());
        for word in text.split_whitespace() {
            let (name, options) = word.split_once(':').unwrap_or((word, ""));
            let options = options.split(';').filter(|o| !o.is_empty());
            match Self::parse(name, options.map(|o| o.split_once('=').unwrap_or((o, "")))) {
                Ok(spec) if specs.iter().any(|s| s.kind == spec.kind) => {
                    wrong.push(MetricError::Twice { name: name.to_owned() });
                }
                Ok(spec) => specs.push(spec),
                Err(all) => wrong.extend(all),
            }
        }
        if wrong.is_empty() { Ok(specs) } else { Err(wrong) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_as_hubbles_flag_takes_them() {
        let specs = MetricSpec::parse_list(
            "drop:sourceContext=pod|ip;destinationContext=namespace  flow:labelsContext=source_pod,source_ip \
             flows-to-world:any-drop;port dns",
        )
        .unwrap();
        let kinds: Vec<_> = specs.iter().map(|s| s.kind).collect();
        assert_eq!(kinds, [Kind::Drop, Kind::Flow, Kind::FlowsToWorld, Kind::Unseen("dns")]);
        assert_eq!(specs[0].context.names(), ["source", "destination"]);
        assert_eq!(specs[1].context.names(), ["source_ip", "source_pod"]);
        assert!(specs[2].any_drop && specs[2].port && !specs[2].syn_only);
        assert_eq!(MetricSpec::parse_list(" ").unwrap(), []);
        let others =
            "dns:query;ignoreAAAA;labelsContext=source_ip httpV2:exemplars=true;sourceContext=pod policy";
        assert_eq!(MetricSpec::parse_list(others).unwrap().len(), 3);
    }

    #[test]
    fn what_is_wrong_is_named_with_a_way_out() {
        for (text, parts) in [
            ("dropp", &["unknown metric \"dropp\"", "did you mean drop?", "port-distribution"][..]),
            ("drop:sourceContxt=pod", &["metric drop", "\"sourceContxt\"", "did you mean sourceContext?"]),
            ("drop:sourceContext=pods", &["metric drop", "\"pods\"", "did you mean pod?"]),
            ("drop:labelsContext=source_pods", &["\"source_pods\"", "did you mean source_pod?"]),
            ("drop:port", &["metric drop", "unknown option \"port\""]),
            ("drop flow drop", &["\"drop\" is named twice"]),
        ] {
            let all = MetricSpec::parse_list(text).unwrap_err();
            let e = all[0].to_string();
            assert!(all.len() == 1 && parts.iter().all(|p| e.contains(p)), "{all:?}");
        }
        let all = MetricSpec::parse_list("dropp flow:a=b;sourceContext=pods;c flow tcp tcp").unwrap_err();
        let named = |e: &MetricError| e.to_string().split_whitespace().nth(1).map(str::to_owned);
        let names: Vec<_> = all.iter().filter_map(named).collect();
        assert_eq!(names, ["metric", "flow:", "flow:", "flow:", "\"tcp\""], "{all:?}");
    }
}
