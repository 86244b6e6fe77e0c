//! `--print-config`: what is in effect, as a file that would have the same effect, and where each setting comes from.

use std::fmt::Write as _;

use super::resolve::Loaded;

/// Where the origins begin, if the settings are short.
const COLUMN: usize = 48;

impl Loaded {
    /// As YAML; each origin is a comment.
    pub fn print(&self) -> String {
        let mut out = String::new();
        for setting in self.settings.iter().filter(|s| s.key != "config") {
            let instead = self.lists.iter().any(|(key, ..)| *key == setting.key);
            if instead {
                continue;
            }
            let line = match setting.values.as_slice() {
                [] => format!("# {}:", setting.key),
                [one] => format!("{}: {}", setting.key, scalar(one)),
                many => {
                    let many: Vec<_> = many.iter().map(|v| quoted(v)).collect();
                    format!("{}: [{}]", setting.key, many.join(", "))
                }
            };
            put(&mut out, &line, &setting.origin);
        }
        for (key, list, origin) in &self.lists {
            put(&mut out, &format!("{key}: {list}"), origin);
        }
        out
    }
}

fn put(out: &mut String, line: &str, origin: &impl std::fmt::Display) {
    // Writing to a String does not fail.
    let _ = writeln!(out, "{line:COLUMN$} # {origin}");
}

/// Numbers and truth values stand as they are; all else in quotes, so that nothing is taken for what it is not.
fn scalar(text: &str) -> String {
    let plain = text.parse::<u64>().is_ok() || matches!(text, "true" | "false");
    if plain { text.to_owned() } else { quoted(text) }
}

/// JSON's texts are YAML's.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
