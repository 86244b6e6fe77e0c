//! Kubernetes label selectors, with Hubble's source prefixes (`k8s:app=x`, `reserved:world`).

use std::sync::Arc;

use super::compile::FilterError;

/// All requirements must hold.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Selector(Vec<Requirement>);

#[derive(Clone, Debug, PartialEq)]
struct Requirement {
    /// `None`: any source.
    source: Option<String>,
    key: String,
    test: Test,
}

#[derive(Clone, Debug, PartialEq)]
enum Test {
    Exists,
    Absent,
    In(Vec<String>),
    NotIn(Vec<String>),
}

impl Selector {
    pub(super) fn parse(text: &str) -> Result<Self, FilterError> {
        let wrong = |why: &str| FilterError(format!("invalid label filter {text:?}: {why}"));
        let parts = split(text).ok_or_else(|| wrong("unbalanced parentheses"))?;
        parts
            .into_iter()
            .map(|part| {
                requirement(part.trim())
                    .ok_or_else(|| wrong("want key, key=value, key!=value, !key or key in (a,b)"))
            })
            .collect::<Result<Vec<_>, _>>()
            .map(Self)
    }

    pub(super) fn matches(&self, labels: &[Arc<str>]) -> bool {
        self.0.iter().all(|r| r.holds(labels))
    }
}

impl Requirement {
    fn holds(&self, labels: &[Arc<str>]) -> bool {
        let values = || labels.iter().filter_map(|l| self.value(l));
        match &self.test {
            Test::Exists => values().next().is_some(),
            Test::Absent => values().next().is_none(),
            Test::In(wanted) => values().any(|v| wanted.iter().any(|w| w == v)),
            Test::NotIn(wanted) => !values().any(|v| wanted.iter().any(|w| w == v)),
        }
    }

    /// The value of a label of this key.
    fn value<'a>(&self, label: &'a str) -> Option<&'a str> {
        let (name, value) = label.split_once('=').unwrap_or((label, ""));
        let (source, key) = name.split_once(':').unwrap_or(("", name));
        (key == self.key && self.source.as_ref().is_none_or(|s| s == source)).then_some(value)
    }
}

/// At commas outside of parentheses.
fn split(text: &str) -> Option<Vec<&str>> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0u32, 0);
    for (i, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.checked_sub(1)?,
            ',' if depth == 0 => {
                parts.push(&text[start..i]);
                start = i + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    (depth == 0).then_some(parts)
}

fn requirement(text: &str) -> Option<Requirement> {
    let build = |name: &str, test| {
        let name = name.trim();
        let (source, key) = match name.split_once(':') {
            Some(("any", key)) => (None, key),
            Some((source, key)) => (Some(source.to_owned()), key),
            None => (None, name),
        };
        let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/' | ':');
        (!key.is_empty() && key.chars().all(good)).then(|| Requirement { source, key: key.to_owned(), test })
    };
    if let Some(key) = text.strip_prefix('!') {
        return build(key, Test::Absent);
    }
    if let Some((key, value)) = text.split_once("!=") {
        return build(key, Test::NotIn(vec![value.trim().to_owned()]));
    }
    if let Some((key, value)) = text.split_once("==").or_else(|| text.split_once('=')) {
        return build(key, Test::In(vec![value.trim().to_owned()]));
    }
    let Some((head, list)) = text.split_once('(') else {
        return build(text, Test::Exists);
    };
    let values = list.strip_suffix(')')?.split(',').map(|v| v.trim().to_owned()).collect();
    let (key, operator) = head.trim().rsplit_once(char::is_whitespace)?;
    match operator {
        "in" => build(key, Test::In(values)),
        "notin" => build(key, Test::NotIn(values)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(selector: &str, labels: &[&str]) -> bool {
        let labels: Vec<Arc<str>> = labels.iter().map(|l| Arc::from(*l)).collect();
        Selector::parse(selector).unwrap().matches(&labels)
    }

    #[test]
    fn selectors() {
        let labels = ["k8s:app=checkout", "k8s:tier=api", "reserved:host"];
        for yes in [
            "app=checkout",
            "k8s:app=checkout",
            "any:app=checkout",
            "app==checkout",
            "app",
            "!missing",
            "app!=other",
            "app in (a, checkout)",
            "app notin (a,b)",
            "app=checkout,tier in (api,web)",
            "reserved:host",
        ] {
            assert!(matches(yes, &labels), "{yes}");
        }
        for no in [
            "app=other",
            "reserved:app=checkout",
            "!app",
            "app notin (checkout)",
            "app=checkout,tier=web",
            "reserved:world",
        ] {
            assert!(!matches(no, &labels), "{no}");
        }
        for wrong in ["app in (a", "=x", "app like (a)", "a b", ""] {
            assert!(Selector::parse(wrong).is_err(), "{wrong}");
        }
    }
}
