//! Kubernetes label selectors, with Hubble's source prefixes (`k8s:app=x`, `reserved:world`).

use ipnet::IpNet;

use super::compile::FilterError;
use super::fields::{Fields, Labelled};

/// All requirements must hold.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Selector(Vec<Requirement>);

#[derive(Clone, Debug, PartialEq)]
struct Requirement {
    key: Key,
    test: Test,
}

#[derive(Clone, Debug, PartialEq)]
struct Key {
    /// `None`: any source.
    source: Option<String>,
    name: String,
    /// Of a key of source `cidr`: what it contains.
    net: Option<IpNet>,
}

#[derive(Clone, Debug, PartialEq)]
enum Test {
    Exists,
    Absent,
    In(Vec<String>),
    NotIn(Vec<String>),
    Greater(i64),
    Less(i64),
}

/// A label of a flow.
struct Label<'a> {
    source: &'a str,
    key: &'a str,
    value: &'a str,
}

impl Selector {
    pub(super) fn parse(text: &str) -> Result<Self, FilterError> {
        let wrong = |why: String| FilterError(format!("unable to parse {text:?}: {why}"));
        // Nothing at all selects all; blanks are a key that is missing.
        if !text.is_empty() && text.trim_matches(is_space).is_empty() {
            return Err(wrong("expected: identifier".into()));
        }
        Parser { tokens: tokens(text), at: 0 }.selector().map(Self).map_err(wrong)
    }

    pub(super) fn matches(&self, flow: &impl Fields, of: Labelled) -> bool {
        self.0.iter().all(|r| r.holds(flow.find_label(of, |label| r.key.value(label))))
    }
}

impl Requirement {
    /// Of several labels with this key the first counts.
    fn holds(&self, value: Option<&str>) -> bool {
        let number = |value: &str| value.parse::<i64>().ok();
        match (&self.test, value) {
            (Test::Exists, value) => value.is_some(),
            (Test::Absent, value) => value.is_none(),
            (Test::In(wanted), Some(value)) => wanted.iter().any(|w| w == value),
            (Test::NotIn(wanted), Some(value)) => !wanted.iter().any(|w| w == value),
            (Test::NotIn(_), None) => true,
            (Test::Greater(than), Some(value)) => number(value).is_some_and(|n| n > *than),
            (Test::Less(than), Some(value)) => number(value).is_some_and(|n| n < *than),
            (Test::In(_) | Test::Greater(_) | Test::Less(_), None) => false,
        }
    }
}

impl Key {
    /// The value of a label of this key.
    fn value<'a>(&self, label: &'a str) -> Option<&'a str> {
        let label = Label::parse(label);
        if self.source.as_deref().is_some_and(|s| s != label.source) {
            return None;
        }
        let fits = match &self.net {
            Some(net) => cidr(label.key)
                .is_some_and(|have| net.prefix_len() <= have.prefix_len() && net.contains(&have.addr())),
            None => self.name == label.key && self.source.as_deref() != Some("cidr"),
        };
        fits.then_some(label.value)
    }
}

impl<'a> Label<'a> {
    /// As Cilium reads them: `source:key=value`; `$name` and `reserved.name` are reserved ones.
    fn parse(text: &'a str) -> Self {
        let (source, rest) = if let Some(rest) = text.strip_prefix('$') {
            ("reserved", rest)
        } else if let Some((source, rest)) = text.split_once(':') {
            (source, rest)
        } else if let Some(rest) = text.strip_prefix("reserved.") {
            ("reserved", rest)
        } else {
            ("", text)
        };
        let (key, value) = match rest.split_once('=') {
            Some(("", value)) if source == "reserved" => (value, ""),
            Some(pair) => pair,
            None => (rest, ""),
        };
        Self { source: if source.is_empty() { "unspec" } else { source }, key, value }
    }
}

/// A prefix, in which IPv6 may have dashes for colons.
fn cidr(key: &str) -> Option<IpNet> {
    key.replace('-', ":").parse::<IpNet>().ok().map(|net| net.trunc())
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Word(String),
    Symbol(&'static str),
    End,
}

impl Token {
    fn text(&self) -> &str {
        match self {
            Self::Word(text) => text,
            Self::Symbol(text) => text,
            Self::End => "",
        }
    }
}

const SYMBOLS: [&str; 9] = ["==", "!=", "(", ")", ",", "!", "=", ">", "<"];

fn is_special(c: char) -> bool {
    "=!(),><".contains(c)
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

fn tokens(text: &str) -> Vec<Token> {
    let mut out = Vec::new();
    let mut rest = text.trim_start_matches(is_space);
    while let Some(first) = rest.chars().next() {
        let used = if is_special(first) {
            let symbol = SYMBOLS.into_iter().find(|s| rest.starts_with(s)).unwrap_or("<");
            out.push(Token::Symbol(symbol));
            symbol.len()
        } else {
            let end = rest.find(|c| is_special(c) || is_space(c)).unwrap_or(rest.len());
            out.push(Token::Word(rest[..end].to_owned()));
            end
        };
        rest = rest[used..].trim_start_matches(is_space);
    }
    out.push(Token::End);
    out
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
}

type Parsed<T> = Result<T, String>;

impl Parser {
    fn peek(&self) -> &Token {
        self.tokens.get(self.at).unwrap_or(&Token::End)
    }

    fn next(&mut self) -> Token {
        let token = self.peek().clone();
        self.at += 1;
        token
    }

    fn is(&self, symbol: &str) -> bool {
        matches!(self.peek(), Token::Symbol(s) if *s == symbol)
    }

    fn selector(&mut self) -> Parsed<Vec<Requirement>> {
        let mut all = Vec::new();
        if *self.peek() == Token::End {
            return Ok(all);
        }
        loop {
            if !(matches!(self.peek(), Token::Word(_)) || self.is("!")) {
                return Err(format!(
                    "found '{}', expected: !, identifier, or 'end of string'",
                    self.peek().text()
                ));
            }
            all.push(self.requirement()?);
            match self.next() {
                Token::End => return Ok(all),
                Token::Symbol(",") => {}
                other => return Err(format!("found '{}', expected: ',' or 'end of string'", other.text())),
            }
        }
    }

    fn requirement(&mut self) -> Parsed<Requirement> {
        let negated = self.is("!");
        if negated {
            self.at += 1;
        }
        let Token::Word(word) = self.next() else {
            return Err("found an operator, expected: identifier".into());
        };
        let key = key(&word)?;
        if negated {
            return Ok(Requirement { key, test: Test::Absent });
        }
        if *self.peek() == Token::End || self.is(",") {
            return Ok(Requirement { key, test: Test::Exists });
        }
        let operator = self.next();
        let test = match operator.text() {
            "in" => Test::In(self.values()?),
            "notin" => Test::NotIn(self.values()?),
            "=" | "==" => Test::In(vec![self.value()?]),
            "!=" => Test::NotIn(vec![self.value()?]),
            ">" => Test::Greater(integer(&self.value()?)?),
            "<" => Test::Less(integer(&self.value()?)?),
            other => return Err(format!("found '{other}', expected: in, notin, =, ==, !=, > or <")),
        };
        Ok(Requirement { key, test })
    }

    fn value(&mut self) -> Parsed<String> {
        if *self.peek() == Token::End || self.is(",") {
            return Ok(String::new());
        }
        match self.next() {
            Token::Word(word) => checked(word),
            other => Err(format!("found '{}', expected: identifier", other.text())),
        }
    }

    /// `(a,b)`; what is left out is the empty value.
    fn values(&mut self) -> Parsed<Vec<String>> {
        if self.next() != Token::Symbol("(") {
            return Err("expected: '('".into());
        }
        let mut all = Vec::new();
        loop {
            let value = match self.peek() {
                Token::Word(word) => {
                    let word = word.clone();
                    self.at += 1;
                    checked(word)?
                }
                _ => String::new(),
            };
            all.push(value);
            match self.next() {
                Token::Symbol(",") => {}
                Token::Symbol(")") => return Ok(all),
                other => return Err(format!("found '{}', expected: ',' or ')'", other.text())),
            }
        }
    }
}

fn integer(text: &str) -> Parsed<i64> {
    text.parse().map_err(|_| format!("'{text}' is no integer, which > and < want"))
}

fn alphanumeric_ends(text: &str) -> bool {
    let end = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    end(text.chars().next())
        && end(text.chars().next_back())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}

/// A label's value: at most 63 letters, digits, dashes, dots and underscores.
fn checked(value: String) -> Parsed<String> {
    if value.is_empty() || value.len() <= 63 && alphanumeric_ends(&value) {
        return Ok(value);
    }
    Err(format!("{value:?} is no value of a label"))
}

/// `[source:]key`. Hubble puts the source before the key with a dot, `any` where there is none, and looks at the whole then.
fn key(word: &str) -> Parsed<Key> {
    let (source, name) = word.split_once(':').unwrap_or(("any", word));
    let dotted = format!("{source}.{name}");
    let wrong = || format!("{word:?} is no key of a label");
    let local = match dotted.split_once('/') {
        None => dotted.as_str(),
        Some((domain, local)) => {
            let part = |p: &str| {
                let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
                !p.is_empty() && p.chars().all(inner) && !p.starts_with('-') && !p.ends_with('-')
            };
            if domain.len() > 253 || !domain.split('.').all(part) {
                return Err(wrong());
            }
            local
        }
    };
    if local.contains('/') || local.len() > 63 || !alphanumeric_ends(local) {
        return Err(wrong());
    }
    // From here on the first dot is what separates source and key.
    let (source, name) = dotted.split_once('.').unwrap_or(("any", &dotted));
    let net = if source == "cidr" { cidr(name) } else { None };
    let source = (source != "any").then(|| source.to_owned());
    Ok(Key { source, name: name.to_owned(), net })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::flow::{Endpoint, Flow};

    fn matches(selector: &str, labels: &[&str]) -> bool {
        let labels = labels.iter().map(ToString::to_string).collect();
        let flow = Flow { source: Some(Endpoint { labels, ..Endpoint::default() }), ..Flow::default() };
        Selector::parse(selector).unwrap().matches(&flow, Labelled::Source)
    }

    #[test]
    fn selectors() {
        let labels =
            ["k8s:app=checkout", "k8s:tier=api", "reserved:host", "k8s:gen=7", "cidr:10.1.0.0/16", "plain"];
        for yes in [
            "",
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
            "gen>6,gen<8",
            "cidr:10.0.0.0/8",
            "plain=",
            "plain in ()",
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
            "gen>7",
            "app>1",
            "cidr:10.2.0.0/16",
            "cidr:10.1.2.0/24",
        ] {
            assert!(!matches(no, &labels), "{no}");
        }
        for wrong in [
            "app in (a",
            "=x",
            "app like (a)",
            "a b",
            "!a=b",
            "a=b,",
            " ",
            "a=-b",
            "a>x",
            "a/b/c",
            "A/b",
            ":a",
        ] {
            assert!(Selector::parse(wrong).is_err(), "{wrong}");
        }
    }

    /// Of labels with the same key the first counts, whatever their sources.
    #[test]
    fn the_first_label_counts() {
        let labels = ["k8s:app=a", "any:app=b", "$init"];
        assert!(
            matches("app=a", &labels)
                && !matches("app=b", &labels)
                && matches("app!=b,reserved:init", &labels)
        );
    }
}
