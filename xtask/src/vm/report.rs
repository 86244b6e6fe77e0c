//! What a kernel did with netdrop: read from the report that a machine prints, kept as JSON.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, bail};
use serde_json::{Value, json};

/// How many lines of a test that failed are told.
const SAID: usize = 40;

/// What became of one kernel.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Report {
    /// `uname -r`.
    pub(super) release: String,
    /// `netdrop status --local`: name of a feature, its state and detail.
    pub(super) features: BTreeMap<String, (String, String)>,
    /// How many drop reasons a subsystem names.
    pub(super) reasons: BTreeMap<String, usize>,
    /// Names of tests that passed, without those that were skipped.
    pub(super) passed: BTreeSet<String>,
    /// Tests that do not apply, with the reason.
    pub(super) skipped: Vec<String>,
    /// Names of tests that failed, with the last lines of what they said.
    pub(super) failed: BTreeMap<String, String>,
}

impl Report {
    /// Reads a report; an error says what it lacks.
    pub(super) fn read(text: &str) -> anyhow::Result<Self> {
        let sections = sections(text);
        let section = |name: &str| {
            sections
                .get(name)
                .map(String::as_str)
                .with_context(|| format!("the report has no section {name}"))
        };
        section("end").context("the machine did not come to the end of its work")?;
        let release = section("release")?.trim().to_owned();
        let status: Value = serde_json::from_str(section("status")?).context("netdrop status")?;
        let reasons: Value = serde_json::from_str(section("reasons")?).unwrap_or_default();
        let mut report = Self {
            release,
            features: features(&status),
            reasons: by_subsystem(&reasons),
            passed: BTreeSet::new(),
            skipped: Vec::new(),
            failed: BTreeMap::new(),
        };
        report.read_suite(section("suite")?)?;
        Ok(report)
    }

    /// Lines as `test matrix::x ... ok`; the sums at the end of each run have to agree.
    fn read_suite(&mut self, printed: &str) -> anyhow::Result<()> {
        for line in printed.lines() {
            if let Some((name, result)) = line.strip_prefix("test ").and_then(|l| l.split_once(" ... ")) {
                match result {
                    "ok" => drop(self.passed.insert(name.to_owned())),
                    "FAILED" => drop(self.failed.insert(name.to_owned(), said_by(name, printed))),
                    _ => {}
                }
            } else if let Some(skipped) = line.strip_prefix("SKIPPED ") {
                self.skipped.push(skipped.to_owned());
            }
        }
        let (passed, failed) = (self.passed.len(), self.failed.len());
        let count = |start: &str| printed.lines().filter(|line| line.starts_with(start)).count();
        let runs = count("running ");
        if runs == 0 || runs != count("test result:") || summed(printed) != (passed, failed) {
            bail!("the suite did not end: {passed} passed and {failed} failed until then");
        }
        for why in &self.skipped {
            let name = why.split(':').next().unwrap_or_default();
            self.passed.retain(|test| test != name && !test.ends_with(&format!("::{name}")));
        }
        self.skipped.sort();
        Ok(())
    }

    /// As people name it: `6.1`.
    pub(super) fn series(&self) -> String {
        let mut numbers = self.release.split('.');
        format!("{}.{}", numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default())
    }

    /// How many of the tests that apply to this kernel passed.
    pub(super) fn suite(&self) -> String {
        let suite = format!("{} of {}", self.passed.len(), self.passed.len() + self.failed.len());
        match self.skipped.len() {
            0 => suite,
            skipped => format!("{suite}, {skipped} do not apply"),
        }
    }

    /// Whether it has a feature.
    pub(super) fn has(&self, feature: &str) -> bool {
        self.features.get(feature).is_some_and(|(state, _)| state == "ok")
    }

    /// What `netdrop status` says of a feature.
    pub(super) fn detail(&self, feature: &str) -> &str {
        self.features.get(feature).map_or("", |(_, detail)| detail)
    }

    /// How many reasons a subsystem names.
    pub(super) fn reasons_of(&self, subsystem: &str) -> usize {
        self.reasons.get(subsystem).copied().unwrap_or(0)
    }

    /// The subsystems beside the core, with how many reasons they name.
    pub(super) fn module_reasons(&self) -> String {
        let modules = self.reasons.iter().filter(|(name, _)| *name != "CORE");
        let modules: Vec<String> = modules.map(|(name, count)| format!("{name} {count}")).collect();
        if modules.is_empty() { "none".to_owned() } else { modules.join(", ") }
    }

    /// As it is kept.
    pub(super) fn to_json(&self) -> Value {
        json!({
            "release": self.release, "features": self.features, "reasons": self.reasons,
            "passed": self.passed, "skipped": self.skipped, "failed": self.failed,
        })
    }
}

/// The last lines of what a test printed.
fn said_by(test: &str, printed: &str) -> String {
    let start = format!("---- {test} stdout ----");
    let said = printed.lines().skip_while(|line| *line != start).skip(1);
    let said: Vec<&str> =
        said.take_while(|line| !line.starts_with("---- ") && *line != "failures:").collect();
    said[said.len().saturating_sub(SAID)..].join("\n").trim_end().to_owned()
}

/// What the lines `test result: ok. 2 passed; 0 failed; ...` add up to.
fn summed(printed: &str) -> (usize, usize) {
    let number = |line: &str, word: &str| {
        let words: Vec<&str> = line.split([' ', ';']).collect();
        let at = words.iter().position(|w| *w == word)?;
        words.get(at.checked_sub(1)?)?.parse().ok()
    };
    let results = printed.lines().filter(|line| line.starts_with("test result:"));
    results.fold((0, 0), |(passed, failed), line| {
        (passed + number(line, "passed").unwrap_or(0), failed + number(line, "failed").unwrap_or(0))
    })
}

/// Lines after a `== name`.
fn sections(text: &str) -> BTreeMap<&str, String> {
    let mut sections: BTreeMap<&str, String> = BTreeMap::new();
    let mut name = "";
    for line in text.lines() {
        if let Some(next) = line.strip_prefix("== ") {
            name = next.trim();
            sections.entry(name).or_default();
        } else {
            let section = sections.entry(name).or_default();
            section.push_str(line);
            section.push('\n');
        }
    }
    sections
}

fn features(status: &Value) -> BTreeMap<String, (String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let all = status["features"].as_array().into_iter().flatten();
    all.map(|f| (text(&f["name"]), (text(&f["state"]), text(&f["detail"])))).collect()
}

fn by_subsystem(reasons: &Value) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for reason in reasons.as_array().into_iter().flatten() {
        *counts.entry(reason["subsystem"].as_str().unwrap_or_default().to_owned()).or_insert(0) += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = "== release\n6.1.0-56-cloud-amd64\n== status\n{\"release\": \"x\", \"features\": [\n\
        {\"name\": \"TCX\", \"state\": \"missing\", \"detail\": \"not in BTF\", \"without\": \"y\"}]}\n\
        == reasons\n[{\"code\": 2, \"name\": \"NOT_SPECIFIED\", \"subsystem\": \"CORE\"}]\n\
        == suite\n\nrunning 3 tests\ntest a::b ... ok\ntest a::c ... FAILED\ntest d ... ok\n\
        successes:\n\n---- d stdout ----\nSKIPPED d: this kernel has no moon\n\n\
        failures:\n\n---- a::c stdout ----\nleft: 2\nright: 3\n\n\nfailures:\n    a::c\n\n\
        test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured; 1 filtered out; finished in 2s\n\
        running 1 test\ntest alone::e ... ok\ntest result: ok. 1 passed; 0 failed; 0 ignored; 0 measured\n== end\n";

    #[test]
    fn a_report_is_read() {
        let report = Report::read(REPORT).unwrap();
        assert_eq!(report.release, "6.1.0-56-cloud-amd64");
        assert_eq!(report.features["TCX"], ("missing".to_owned(), "not in BTF".to_owned()));
        assert_eq!(report.reasons, [("CORE".to_owned(), 1)].into());
        assert_eq!(
            (report.suite(), report.series()),
            ("2 of 3, 1 do not apply".to_owned(), "6.1".to_owned())
        );
        assert!(report.passed.contains("a::b") && !report.has("TCX"));
        assert_eq!(report.failed, [("a::c".to_owned(), "left: 2\nright: 3".to_owned())].into());
        assert_eq!(report.skipped, ["d: this kernel has no moon"]);
    }

    #[test]
    fn a_report_that_stops_is_an_error() {
        for (cut, word) in [("== end", "end of its work"), ("test result", "did not end")] {
            let text = REPORT.replace(cut, "x");
            let error = format!("{:#}", Report::read(&text).unwrap_err());
            assert!(error.contains(word), "{error}");
        }
    }
}
