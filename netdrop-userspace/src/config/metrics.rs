//! Hubble's metrics: the flag's list, or the `metrics` of the file.

use std::path::Path;

use super::list::{Fields, Place, Problems};
use super::yaml::{Node, Value};
use crate::agent::metrics::MetricSpec;
use crate::filter::Filters;

/// `metrics` of a file, as Hubble's dynamic metrics have it.
pub(super) fn of_file(file: &Path, list: &[Node], problems: &mut Problems) -> Vec<MetricSpec> {
    let mut specs: Vec<MetricSpec> = Vec::new();
    for (at, node) in list.iter().enumerate() {
        let Some(mut fields) = Fields::new(file, format!("metrics[{at}]"), node, problems) else { continue };
        let name = fields.required("name", problems);
        let options = options(file, &mut fields, problems);
        let allow = fields.filters("includeFilters", problems);
        let deny = fields.filters("excludeFilters", problems);
        if let Some(name) = name {
            let pairs = options.iter().map(|(option, value)| (option.as_str(), value.as_str()));
            match MetricSpec::parse(&name, pairs) {
                Ok(spec) if specs.iter().any(|s| s.kind == spec.kind) => {
                    fields.problem(format_args!("{name} is named twice; put both into one"), problems);
                }
                Ok(spec) => specs.push(MetricSpec { filters: Filters { allow, deny }, ..spec }),
                Err(wrong) => wrong.into_iter().for_each(|e| fields.problem(e, problems)),
            }
        }
        fields.finish(problems);
    }
    for spec in &specs {
        if let Err(e) = spec.filters.compile() {
            problems
                .add(Place { file, line: list.first().map_or(1, |n| n.line) }, format_args!("metrics: {e}"));
        }
    }
    specs
}

/// Names and values; several values are joined as the flag has them.
fn options(file: &Path, fields: &mut Fields<'_>, problems: &mut Problems) -> Vec<(String, String)> {
    let mut options = Vec::new();
    for (path, node) in fields.list("contextOptions", problems) {
        let Some(mut option) = Fields::new(file, path, node, problems) else { continue };
        let name = option.required("name", problems);
        let values = option.texts("values", problems);
        option.finish(problems);
        if let Some(name) = name {
            let separator = if name.eq_ignore_ascii_case("labelsContext") { "," } else { "|" };
            options.push((name, values.join(separator)));
        }
    }
    options
}

/// Whether the file has the list, rather than the flag's text.
pub(super) fn list_of(node: &Node) -> Option<&[Node]> {
    match &node.value {
        Value::List(list) => Some(list),
        _ => None,
    }
}
