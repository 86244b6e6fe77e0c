//! The catalogue as a document: docs/reasons.md.

use std::fmt::Write as _;

use super::{Class, Explanation, SUBJECTS, kernels, sites};

const HEAD: &str = "\
<!-- Written by `cargo xtask docs`; change netdrop-userspace/src/explain/ instead. -->

# Drop reasons

What the kernel's drop reasons mean, the usual causes in Kubernetes and what to run next. `netdrop explain NAME` shows one of them,
`netdrop reasons` those of the running kernel.

- **actionable**: something blocks, lacks or overflows, and it can be mended.
- **informational**: a fault only if it is frequent or someone complains.
- **benign**: normal operation, in every case. `netdrop observe` hides these and says how many; `--include-benign` or `--reason NAME`
  shows them.

In commands, replace words in capitals; PID is any process of the pod (`lsns -t net` has one for each network namespace, which a drop's
JSON names as `netns`), DEVICE the interface that a drop's JSON names. *Linux* says which releases have the name; a stable update may have taken it over later.
";

/// The whole document.
pub fn markdown() -> String {
    let mut out = String::from(HEAD);
    index(&mut out);
    for (heading, table) in SUBJECTS {
        put(&mut out, format_args!("\n## {heading}\n"));
        match table {
            // Wi-Fi: only the sentences differ, and those are in the index.
            [first, rest @ ..] if rest.iter().all(|e| (e.causes, e.next) == (first.causes, first.next)) => {
                let names: Vec<String> = table.iter().map(|e| anchor(e.name)).collect();
                put(&mut out, format_args!("\n{}\n\n", names.join(" ")));
                advice(first, &mut out);
            }
            _ => table.iter().for_each(|e| page(e, &mut out)),
        }
    }
    places(&mut out);
    out
}

/// Writing to a String does not fail.
fn put(out: &mut String, text: std::fmt::Arguments<'_>) {
    let _ = out.write_fmt(text);
}

fn index(out: &mut String) {
    out.push_str("\n| reason | class | Linux | means |\n|---|---|---|---|\n");
    let mut all: Vec<&Explanation> = super::all().collect();
    all.sort_unstable_by_key(|e| e.name);
    for e in all {
        let (name, link) = (e.name, e.name.to_ascii_lowercase());
        let kernels = kernels::of(name);
        put(
            out,
            format_args!("| [`{name}`](#{link}) | {} | {kernels} | {} |\n", e.class.name(), cell(e.means)),
        );
    }
}

/// A bar would end the cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

fn page(e: &Explanation, out: &mut String) {
    put(out, format_args!("\n### {}\n\n*{}*; Linux {}", e.name, e.class.name(), kernels::of(e.name)));
    for also in e.also {
        let kernels = kernels::of(also);
        match kernels.first {
            Some(_) => put(out, format_args!("; `{also}` in {kernels}")),
            None => put(out, format_args!("; `{also}` in later ones")),
        }
    }
    put(out, format_args!("\n\n{}\n\n", e.means));
    advice(e, out);
}

/// A name that the index can point at.
fn anchor(name: &str) -> String {
    format!("<a id=\"{}\"></a>`{name}`", name.to_ascii_lowercase())
}

fn advice(e: &Explanation, out: &mut String) {
    for cause in e.causes {
        put(out, format_args!("- {cause}\n"));
    }
    out.push('\n');
    for step in e.next {
        put(out, format_args!("    {}\n        # {}\n", step.command, step.shows));
    }
}

fn places(out: &mut String) {
    out.push_str(
        "\n## Vague reasons by their place\n\nWhat a reason that says little means where a drop happens at that function; `netdrop explain \
         REASON --site FUNCTION`\nshows it, and JSON output has it as `meaning`.\n\n| reason | at | Linux | class | means |\n|---|---|---|---|---|\n",
    );
    for s in sites::all() {
        let symbols: Vec<String> = s.symbols.iter().map(|symbol| format!("`{symbol}`")).collect();
        let (at, class) = (symbols.join(", "), s.class.name());
        put(out, format_args!("| `{}` | {at} | {} | {class} | {} |\n", s.reason, s.span(), cell(s.means)));
    }
    let benign = super::all().filter(|e| e.class == Class::Benign).count();
    put(out, format_args!("\n{} reasons, {benign} of them benign.\n", super::all().count()));
}
