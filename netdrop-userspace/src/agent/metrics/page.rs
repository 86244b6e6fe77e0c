//! What a scrape gets: OpenMetrics, or the text format of before.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use super::family::Values;

/// How a page is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// OpenMetrics 1.0, which Prometheus asks for.
    OpenMetrics,
    /// What everybody reads.
    Text,
}

impl Format {
    /// What the client's `Accept` prefers, as far as it matters.
    pub(crate) fn of_accept(accept: &str) -> Self {
        if accept.contains("application/openmetrics-text") { Self::OpenMetrics } else { Self::Text }
    }

    pub(crate) const fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// A value.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Number {
    Count(u64),
    /// A counter of seconds.
    Seconds(f64),
    Level(f64),
    /// A level whose name, which is not netdrop's, ends as that of a counter.
    Untyped(f64),
}

impl Number {
    fn encode(&self, row: &mut MetricEncoder<'_>) -> fmt::Result {
        match self {
            Self::Count(n) => row.encode_counter::<NoLabelSet, _, u64>(n, None),
            Self::Seconds(n) => row.encode_counter::<NoLabelSet, _, u64>(n, None),
            Self::Level(n) | Self::Untyped(n) => row.encode_gauge(n),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "levels are far below 2^53")]
pub(crate) fn level(n: usize) -> Number {
    Number::Level(n as f64)
}

#[expect(clippy::cast_precision_loss, reason = "as above")]
pub(crate) fn untyped(n: usize) -> Number {
    Number::Untyped(n as f64)
}

/// All series of a name; a counter's name is without its `_total`.
#[derive(Debug)]
struct Table {
    name: &'static str,
    help: &'static str,
    labels: Vec<&'static str>,
    rows: Vec<(Values, Number)>,
}

/// All that is told at a time.
#[derive(Debug, Default)]
pub(crate) struct Page(Vec<Table>);

impl Page {
    /// Adds one name. What has no series is left out.
    pub(crate) fn add(
        &mut self,
        name: &'static str,
        help: &'static str,
        labels: &[&'static str],
        mut rows: Vec<(Values, Number)>,
    ) {
        if !rows.is_empty() {
            rows.sort_by(|a, b| a.0.cmp(&b.0));
            self.0.push(Table { name, help, labels: labels.to_vec(), rows });
        }
    }

    /// Adds a name with one series.
    pub(crate) fn add_one(&mut self, name: &'static str, help: &'static str, value: Number) {
        self.add(name, help, &[], vec![(Arc::new([]), value)]);
    }

    /// As text.
    pub(crate) fn write(self, format: Format) -> String {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(self));
        let mut text = String::new();
        // Writing to a String does not fail.
        let _ = encode(&mut text, &registry);
        match format {
            Format::OpenMetrics => text,
            Format::Text => before_openmetrics(&text),
        }
    }
}

impl Collector for Page {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for table in &self.0 {
            let kind = match table.rows.first() {
                Some((_, Number::Level(_))) => MetricType::Gauge,
                Some((_, Number::Untyped(_))) => MetricType::Unknown,
                _ => MetricType::Counter,
            };
            let mut metric = encoder.encode_descriptor(table.name, table.help, None, kind)?;
            for (values, number) in &table.rows {
                let labels: Vec<(&str, &str)> =
                    table.labels.iter().copied().zip(values.iter().map(|v| &**v)).collect();
                if labels.is_empty() {
                    number.encode(&mut metric)?;
                } else {
                    number.encode(&mut metric.encode_family(&labels)?)?;
                }
            }
        }
        Ok(())
    }
}

/// There a counter's name ends with `_total` also where it is described, and nothing marks the end.
fn before_openmetrics(text: &str) -> String {
    let counter = |name: &str| text.contains(&format!("# TYPE {name} counter\n"));
    let mut out = String::with_capacity(text.len() + 256);
    for line in text.lines().filter(|l| *l != "# EOF" && !l.starts_with("# UNIT ")) {
        let described =
            ["# HELP ", "# TYPE "].into_iter().find_map(|k| line.strip_prefix(k).map(|rest| (k, rest)));
        match described.and_then(|(k, rest)| rest.split_once(' ').map(|(name, rest)| (k, name, rest))) {
            Some((kind, name, rest)) if counter(name) => {
                out.extend([kind, name, "_total ", rest]);
            }
            Some((kind, name, "unknown")) => out.extend([kind, name, " untyped"]),
            _ => out.push_str(line),
        }
        out.push('\n');
    }
    out
}

/// Values of labels.
pub(crate) fn values<const N: usize>(values: [&str; N]) -> Values {
    values.map(Arc::from).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_formats_tell_the_same() {
        let page = || {
            let mut page = Page::default();
            page.add(
                "a_things",
                "Things",
                &["x", "y"],
                vec![(values(["2", "z"]), Number::Count(7)), (values(["1", "z"]), Number::Count(5))],
            );
            page.add("none", "Nothing", &["x"], Vec::new());
            page.add_one("a_level", "Level", Number::Level(1.5));
            page.add_one("many_total", "Many", untyped(3));
            page.add_one("a_run_seconds", "Time", Number::Seconds(0.25));
            page
        };
        let open = "# HELP a_things Things\n# TYPE a_things counter\n\
                    a_things_total{x=\"1\",y=\"z\"} 5\na_things_total{x=\"2\",y=\"z\"} 7\n\
                    # HELP a_level Level\n# TYPE a_level gauge\na_level 1.5\n\
                    # HELP many_total Many\n# TYPE many_total unknown\nmany_total 3.0\n\
                    # HELP a_run_seconds Time\n# TYPE a_run_seconds counter\na_run_seconds_total 0.25\n# EOF\n";
        assert_eq!(page().write(Format::OpenMetrics), open);
        let text = open
            .replace("HELP a_things", "HELP a_things_total")
            .replace("TYPE a_things", "TYPE a_things_total")
            .replace("HELP a_run_seconds", "HELP a_run_seconds_total")
            .replace("TYPE a_run_seconds", "TYPE a_run_seconds_total")
            .replace("many_total unknown", "many_total untyped")
            .replace("# EOF\n", "");
        assert_eq!(page().write(Format::Text), text);
    }

    #[test]
    fn the_client_chooses() {
        let prometheus =
            "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        assert_eq!(Format::of_accept(prometheus), Format::OpenMetrics);
        assert_eq!(Format::of_accept("*/*"), Format::Text);
        assert_eq!(Format::of_accept(""), Format::Text);
    }
}
