//! `netdrop explain NAME`: one drop reason on a page.

use std::io::Write;

use clap::{Args, ValueEnum};
use serde_json::json;

use crate::explain::{self, Explanation};
use crate::flow::DropReason;
use crate::kernel::Reasons;
use crate::kernel::reasons::{bare_name, closest};

/// Most letters in a line of the page.
const WIDTH: usize = 100;

/// How an explanation is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum PageOutput {
    /// A page to read.
    #[default]
    Text,
    /// One JSON document.
    Json,
}

/// What was typed after `netdrop explain`.
#[derive(Clone, Debug, Args)]
pub struct ExplainArgs {
    /// Drop reason, in any case, with or without SKB_DROP_REASON_ (see `netdrop reasons`).
    #[arg(value_name = "NAME")]
    pub name: String,
    /// How to print the explanation.
    #[arg(short, long, value_enum, default_value_t)]
    pub output: PageOutput,
}

/// Explains a reason; works without BTF too, from the catalogue alone.
pub fn run(args: &ExplainArgs, out: &mut impl Write) -> anyhow::Result<()> {
    write(&super::reasons::load().unwrap_or_default(), args, out)
}

/// Explains a reason of this kernel, or one that only the catalogue knows.
///
/// # Errors
///
/// A name that neither knows, with the nearest one that is known.
pub fn write(reasons: &Reasons, args: &ExplainArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let name = bare_name(&args.name);
    // The kernel's spelling: SKB_CONSUMED is CONSUMED.
    let here = reasons.code(&name).map(|code| reasons.name(code));
    let explanation = here.as_ref().and_then(|r| explain::find(&r.name)).or_else(|| explain::find(&name));
    anyhow::ensure!(here.is_some() || explanation.is_some(), "{}", unknown(reasons, &args.name));
    let page = Page { here: here.as_ref(), explanation };
    match args.output {
        PageOutput::Text => page.write_text(out),
        PageOutput::Json => page.write_json(out),
    }
}

fn unknown(reasons: &Reasons, typed: &str) -> String {
    let known = reasons.iter().map(|r| &*r.name).chain(explain::all().map(|e| e.name));
    let short: String = typed.chars().take(64).collect();
    let hint =
        closest(&bare_name(typed), known).map(|near| format!(" Did you mean {near}?")).unwrap_or_default();
    format!("no drop reason is called {short:?}.{hint} All of this kernel's: netdrop reasons")
}

struct Page<'a> {
    here: Option<&'a DropReason>,
    explanation: Option<&'static Explanation>,
}

impl Page<'_> {
    fn name(&self) -> &str {
        self.here.map(|r| &*r.name).or(self.explanation.map(|e| e.name)).unwrap_or_default()
    }

    fn write_text(&self, out: &mut impl Write) -> anyhow::Result<()> {
        writeln!(out, "{}", self.name())?;
        match self.here {
            Some(r) => writeln!(out, "code {} of this kernel, subsystem {}", r.code, r.subsystem)?,
            None => writeln!(out, "not a reason of this kernel")?,
        }
        let Some(e) = self.explanation else {
            writeln!(
                out,
                "\nnetdrop has no explanation of it yet. To see each such packet and the place in the kernel:"
            )?;
            writeln!(out, "\n  netdrop observe --reason {} -o dict", self.name())?;
            return Ok(());
        };
        let also: Vec<_> = [&[e.name], e.also].concat().into_iter().filter(|n| *n != self.name()).collect();
        if !also.is_empty() {
            writeln!(out, "other kernels call it {}", also.join(", "))?;
        }
        writeln!(out, "{}: {}\n", e.class.name(), e.class.advice())?;
        wrapped(out, "", e.means)?;
        writeln!(out, "\nUsual causes in Kubernetes")?;
        for cause in e.causes {
            wrapped(out, "  - ", cause)?;
        }
        writeln!(out, "\nRun next (replace words in capitals)")?;
        for step in e.next {
            writeln!(out, "  {}", step.command)?;
            wrapped(out, "      ", step.shows)?;
        }
        Ok(())
    }

    fn write_json(&self, out: &mut impl Write) -> anyhow::Result<()> {
        let page = json!({
            "name": self.name(),
            "code": self.here.map(|r| r.code),
            "subsystem": self.here.map(|r| &*r.subsystem),
            "class": self.explanation.map(|e| e.class),
            "means": self.explanation.map(|e| e.means),
            "also": self.explanation.map_or(&[][..], |e| e.also),
            "causes": self.explanation.map_or(&[][..], |e| e.causes),
            "next": self.explanation.map_or(&[][..], |e| e.next),
        });
        serde_json::to_writer_pretty(&mut *out, &page)?;
        writeln!(out)?;
        Ok(())
    }
}

/// Prints text in lines of at most [`WIDTH`], the first after `lead`, the others as far in.
fn wrapped(out: &mut impl Write, lead: &str, text: &str) -> std::io::Result<()> {
    let indent = " ".repeat(lead.len());
    let mut line = lead.to_owned();
    let mut empty = true;
    for word in text.split(' ') {
        if !empty && line.len() + 1 + word.len() > WIDTH {
            writeln!(out, "{line}")?;
            line.clone_from(&indent);
            empty = true;
        }
        if !empty {
            line.push(' ');
        }
        line.push_str(word);
        empty = false;
    }
    writeln!(out, "{line}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explained(name: &str, output: PageOutput) -> anyhow::Result<String> {
        let mut out = Vec::new();
        run(&ExplainArgs { name: name.to_owned(), output }, &mut out)?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn a_page_has_all_sections_and_any_spelling_finds_it() {
        let page = explained("NETFILTER_DROP", PageOutput::Text).unwrap();
        for part in [
            "NETFILTER_DROP\ncode ",
            "actionable: ",
            "Usual causes",
            "  - a NetworkPolicy",
            "Run next",
            "  iptables-save",
        ] {
            assert!(page.contains(part), "{part} in {page}");
        }
        for name in ["netfilter_drop", "SKB_DROP_REASON_NETFILTER_DROP", " Netfilter_Drop "] {
            assert_eq!(explained(name, PageOutput::Text).unwrap(), page);
        }
        assert!(
            page.lines().all(|l| l.len() <= WIDTH || l.starts_with("  ") && !l.starts_with("   ")),
            "{page}"
        );
    }

    #[test]
    fn a_mistyped_name_gets_the_near_one_and_no_control_characters() {
        let error = explained("NETFILTRDROP", PageOutput::Text).unwrap_err().to_string();
        assert_eq!(
            error,
            "no drop reason is called \"NETFILTRDROP\". Did you mean NETFILTER_DROP? All of this kernel's: netdrop reasons"
        );
        let error = explained("\u{1b}[2J", PageOutput::Text).unwrap_err().to_string();
        assert!(!error.contains('\u{1b}') && !error.contains("Did you mean"), "{error}");
    }

    #[test]
    fn without_btf_the_catalogue_still_answers() {
        let mut out = Vec::new();
        let args = ExplainArgs { name: "QDISC_DROP_OVERLIMIT".to_owned(), output: PageOutput::Text };
        write(&Reasons::default(), &args, &mut out).unwrap();
        let page = String::from_utf8(out).unwrap();
        assert!(page.starts_with("QDISC_OVERLIMIT\nnot a reason of this kernel\n"), "{page}");
    }

    #[test]
    fn a_reason_without_a_page_still_says_what_to_run() {
        let page = explained("CORE:9999", PageOutput::Text).unwrap();
        assert!(page.contains("netdrop observe --reason CORE:9999 -o dict"), "{page}");
    }

    #[test]
    fn json_holds_the_same() {
        let page: serde_json::Value =
            serde_json::from_str(&explained("no_socket", PageOutput::Json).unwrap()).unwrap();
        assert_eq!((&page["name"], &page["class"]), (&json!("NO_SOCKET"), &json!("actionable")));
        assert!(page["next"][0]["command"].as_str().unwrap().contains("ss -ltnp"));
    }
}
