//! `netdrop explain NAME`: one drop reason on a page.

use std::io::Write;

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use crate::explain::kernels::{self, NEWEST, Release};
use crate::explain::sites::{self, Site};
use crate::explain::{self, Explanation};
use crate::flow::{DropReason, hubble, shown_as};
use crate::kernel::reasons::{bare_name, closest};
use crate::kernel::{Reasons, release};

/// Most letters in a line of the page.
const WIDTH: usize = 100;

/// Where to find what is not in the drop's line.
const PLACEHOLDERS: [(&str, &str); 2] = [
    (
        "PID",
        "any process of the pod: `lsns -t net -o NS,PID,COMMAND` has one for each network namespace; -o json tells a drop's (netns)",
    ),
    ("DEVICE", "the interface the packet was on: -o json tells it (interface)"),
];

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
    /// Kernel function where the packets die, as a drop names it: what the reason means there.
    #[arg(long, value_name = "SYMBOL")]
    pub site: Option<String>,
    /// How to print the explanation.
    #[arg(short, long, value_enum, default_value_t)]
    pub output: PageOutput,
}

/// Explains a reason; works without BTF too, from the catalogue alone.
pub fn run(args: &ExplainArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let running = release(std::path::Path::new("/")).ok().and_then(|text| Release::of_uname(&text));
    write(&super::reasons::load().unwrap_or_default(), running.unwrap_or(NEWEST), args, out)
}

/// Explains a reason of this kernel, or one that only the catalogue knows.
///
/// # Errors
///
/// A name that neither knows, with the nearest one that is known.
pub fn write(
    reasons: &Reasons,
    running: Release,
    args: &ExplainArgs,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let name = bare_name(&args.name);
    // The kernel's spelling: SKB_CONSUMED is CONSUMED.
    let here = reasons.code(&name).map(|code| reasons.name(code));
    let explanation = here.as_ref().and_then(|r| explain::find(&r.name)).or_else(|| explain::find(&name));
    anyhow::ensure!(here.is_some() || explanation.is_some(), "{}", unknown(reasons, &args.name));
    let mut page = Page { here: here.as_ref(), explanation, typed: name, running, place: None };
    page.place = args.site.as_deref().map(|typed| {
        let symbol = bare_symbol(typed);
        (symbol, sites::find(page.name(), symbol, running))
    });
    match args.output {
        PageOutput::Text => page.write_text(out),
        PageOutput::Json => page.write_json(out),
    }
}

/// A name of Hubble's, as the column TYPE and the metrics have it.
fn of_hubble(name: &str) -> Option<String> {
    let number = hubble::drop_reason_number(name)?;
    let shown: Vec<&str> = shown_as(number).collect();
    Some(match &shown[..] {
        [] if name == "DROP_REASON_UNKNOWN" => format!(
            "{name} is what Hubble's clients are told of a reason that Hubble has none for; the kernel's stands in the same line, or as \
             kernel_reason"
        ),
        [] => format!("{name} is a drop reason of Hubble's, and no reason of the kernel is shown as it"),
        [first, ..] => format!(
            "{name} is a drop reason of Hubble's; of the kernel's, these are shown as it: {}. What one means: netdrop explain {first}",
            shown.join(", ")
        ),
    })
}

fn unknown(reasons: &Reasons, typed: &str) -> String {
    if let Some(told) = of_hubble(&bare_name(typed)) {
        return told;
    }
    let here = reasons.iter().map(|r| r.name.to_string());
    let known: Vec<String> = here.chain(explain::names().map(str::to_owned)).collect();
    let short: String = typed.chars().take(64).collect();
    let hint = closest(&bare_name(typed), known.iter().map(String::as_str))
        .map(|near| format!(" Did you mean {near}?"))
        .unwrap_or_default();
    format!("no drop reason is called {short:?}.{hint} All of this kernel's: netdrop reasons")
}

/// `tcp_v4_rcv` of `tcp_v4_rcv+0x91/0x1f0 [module]`.
fn bare_symbol(typed: &str) -> &str {
    typed.trim().split(['+', ' ']).next().unwrap_or_default()
}

struct Page<'a> {
    here: Option<&'a DropReason>,
    explanation: Option<&'static Explanation>,
    typed: String,
    running: Release,
    /// The function that was asked for, and what the reason means there.
    place: Option<(&'a str, Option<&'static Site>)>,
}

impl Page<'_> {
    /// The running kernel's name, else the one that was typed, if it is one of its names.
    fn name(&self) -> &str {
        let known =
            |e: &'static Explanation| if e.also.contains(&&*self.typed) { &self.typed } else { e.name };
        self.here.map(|r| &*r.name).or(self.explanation.map(known)).unwrap_or_default()
    }

    /// Other names of the same, each with the releases that have it.
    fn others(&self) -> Vec<String> {
        let names =
            self.explanation.iter().flat_map(|e| std::iter::once(e.name).chain(e.also.iter().copied()));
        let told = |name: &str| match kernels::of(name) {
            known if known.first.is_some() => format!("{name} in Linux {known}"),
            _ => format!("{name} in later kernels"),
        };
        names.filter(|n| *n != self.name()).map(told).collect()
    }

    fn write_text(&self, out: &mut impl Write) -> anyhow::Result<()> {
        writeln!(out, "{}", self.name())?;
        match self.here {
            Some(r) => writeln!(out, "code {} of this kernel, subsystem {}", r.code, r.subsystem)?,
            None => writeln!(out, "not a reason of this kernel")?,
        }
        let known = kernels::of(self.name());
        if known.is_known() {
            writeln!(out, "in Linux {known}")?;
        }
        let Some(e) = self.explanation else {
            writeln!(
                out,
                "\nnetdrop has no explanation of it yet. To see each such packet and the place in the kernel:"
            )?;
            writeln!(out, "\n  netdrop observe --reason {} -o dict", self.name())?;
            return Ok(());
        };
        for other in self.others() {
            writeln!(out, "also called {other}")?;
        }
        writeln!(out, "{}: {}\n", e.class.name(), e.class.advice())?;
        wrapped(out, "", e.means)?;
        self.write_place(out)?;
        writeln!(out, "\nUsual causes in Kubernetes")?;
        for cause in e.causes {
            wrapped(out, "  - ", cause)?;
        }
        writeln!(out, "\nRun next (replace words in capitals)")?;
        for step in e.next {
            writeln!(out, "  {}", step.command)?;
            wrapped(out, "      ", step.shows)?;
        }
        let used = |word: &str| {
            let words = |text: &str| text.split(|c: char| !c.is_ascii_alphabetic()).any(|w| w == word);
            e.next.iter().any(|step| words(step.command))
        };
        let known: Vec<_> = PLACEHOLDERS.iter().filter(|(word, _)| used(word)).collect();
        if !known.is_empty() {
            writeln!(out)?;
        }
        for (word, found) in known {
            wrapped(out, &format!("{word}: "), found)?;
        }
        Ok(())
    }

    /// What it means at the function that was asked for; without one, at which functions more is known.
    fn write_place(&self, out: &mut impl Write) -> anyhow::Result<()> {
        match self.place {
            Some((symbol, Some(site))) => {
                writeln!(out, "\nAt {symbol} (Linux {})", site.span())?;
                wrapped(out, "  ", &format!("{}: {}", site.class.name(), site.means))?;
                writeln!(out, "  {}", site.next)?;
            }
            Some((symbol, None)) => wrapped(
                out,
                "\n",
                &format!(
                    "Nothing certain is known of {} at {symbol} in Linux {}.",
                    self.name(),
                    self.running
                ),
            )?,
            None => {
                let known: Vec<_> = self.sites().flat_map(|s| s.symbols.iter().copied()).collect();
                if !known.is_empty() {
                    writeln!(out, "\nMore is known of these places (--site SYMBOL)")?;
                    wrapped(out, "  ", &known.join(", "))?;
                }
            }
        }
        Ok(())
    }

    fn sites(&self) -> impl Iterator<Item = &'static Site> {
        sites::all().filter(|s| s.reason == self.name() && s.is_of(self.running))
    }

    fn write_json(&self, out: &mut impl Write) -> anyhow::Result<()> {
        let page = json!({
            "name": self.name(),
            "code": self.here.map(|r| r.code),
            "subsystem": self.here.map(|r| &*r.subsystem),
            "kernels": kernels::of(self.name()),
            "class": self.explanation.map(|e| e.class),
            // As reasons and flows call it; the other name is the older one.
            "meaning": self.explanation.map(|e| e.means),
            "means": self.explanation.map(|e| e.means),
            "also": self.explanation.map_or(&[][..], |e| e.also),
            "causes": self.explanation.map_or(&[][..], |e| e.causes),
            "next": self.explanation.map_or(&[][..], |e| e.next),
            "sites": match self.place {
                Some((_, site)) => site.into_iter().map(of_site).collect::<Vec<_>>(),
                None => self.sites().map(of_site).collect(),
            },
        });
        serde_json::to_writer_pretty(&mut *out, &page)?;
        writeln!(out)?;
        Ok(())
    }
}

/// A place, with both names of its sentence.
fn of_site(site: &Site) -> Value {
    let mut page = json!(site);
    page["meaning"] = json!(site.means);
    page
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
        run(&ExplainArgs { name: name.to_owned(), site: None, output }, &mut out)?;
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
        let page_of_pid = explained("NO_SOCKET", PageOutput::Text).unwrap();
        assert!(page_of_pid.contains("\n\nPID: any process of the pod: `lsns -t net"), "{page_of_pid}");
        assert!(!page.contains("PID: ") && !page.contains("DEVICE: "), "{page}");
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
        let page = |name, site: Option<&str>, release| {
            let mut out = Vec::new();
            let args = ExplainArgs {
                name: String::from(name),
                site: site.map(str::to_owned),
                output: PageOutput::Text,
            };
            write(&Reasons::default(), release, &args, &mut out).unwrap();
            String::from_utf8(out).unwrap()
        };
        let old = page("PTYPE_ABSENT", None, NEWEST);
        for part in [
            "PTYPE_ABSENT\nnot a reason of this kernel\nin Linux 5.18 only\n",
            "also called UNHANDLED_PROTO in Linux 5.19 and later\n",
        ] {
            assert!(old.contains(part), "{part} in {old}");
        }
        let new = page("QDISC_OVERLIMIT", None, NEWEST);
        assert!(new.contains("also called QDISC_DROP_OVERLIMIT in later kernels"), "{new}");
        let at = page("not_specified", Some("sk_stream_kill_queues+0x4d/0x100"), Release::new(6, 1));
        assert!(
            at.contains("\nAt sk_stream_kill_queues (Linux 5.17 to 6.5)\n  benign: A TCP socket"),
            "{at}"
        );
        let nowhere = page("not_specified", Some("sk_stream_kill_queues"), NEWEST);
        assert!(
            nowhere.contains(
                "Nothing certain is known of NOT_SPECIFIED at sk_stream_kill_queues in Linux 6.18."
            ),
            "{nowhere}"
        );
        let list = page("not_specified", None, NEWEST);
        assert!(list.contains("(--site SYMBOL)\n  ip_error, ip_rcv_finish_core, "), "{list}");
    }

    #[test]
    fn a_name_of_hubbles_leads_to_the_kernels() {
        let said = |name| explained(name, PageOutput::Text).unwrap_err().to_string();
        assert_eq!(
            said("fib_lookup_failed"),
            "FIB_LOOKUP_FAILED is a drop reason of Hubble's; of the kernel's, these are shown as it: IP_INNOROUTES, \
             IP_OUTNOROUTES. What one means: netdrop explain IP_INNOROUTES"
        );
        assert_eq!(
            said("POLICY_DENIED"),
            "POLICY_DENIED is a drop reason of Hubble's, and no reason of the kernel is shown as it"
        );
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
        assert_eq!(page["kernels"]["first"], "5.17");
        // Both names of the sentence.
        assert!(page["meaning"].is_string() && page["meaning"] == page["means"], "{page}");
    }
}
