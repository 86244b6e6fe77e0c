//! Words of the command line as Hubble's client reads them: its library for flags (pflag) takes whatever follows a flag as its
//! value, lets the last of several count, and lets switches be `--follow=false`. What comes out is what clap reads the same way.

use std::error::Error as _;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::OnceLock;

use clap::builder::ArgAction;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command};

use super::settings::{self, RELAY, Settings, WITHOUT};
use crate::go;

/// Why nothing is run.
#[derive(Debug)]
pub enum Refused {
    /// Help or version was asked for: text for stdout.
    Shown(String),
    /// What was typed makes no sense.
    Wrong(String),
}

/// A flag as typed: its name, and its value if it has one.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Flag {
    pub(super) name: String,
    pub(super) value: Option<String>,
}

/// What was typed, sorted.
#[derive(Debug, Default)]
struct Typed {
    commands: Vec<String>,
    flags: Vec<Flag>,
    /// Flags that were named, also those that were switched off.
    named: Vec<String>,
    words: Vec<String>,
}

/// Reads the command line, and for flags that it leaves open the environment and the config file.
pub fn parse(mut command: Command, words: impl IntoIterator<Item = OsString>) -> Result<ArgMatches, Refused> {
    command.build();
    let mut words = words.into_iter();
    let program = words.next().unwrap_or_else(|| "netdrop".into());
    let mut texts = Vec::new();
    for word in words {
        let text = word
            .into_string()
            .map_err(|w| Refused::Wrong(format!("{} is no UTF-8 text", go::quote(&w.to_string_lossy()))))?;
        texts.push(text);
    }
    let mut typed = Typed::read(&command, texts).map_err(Refused::Wrong)?;
    typed.topic().map_err(Refused::Wrong)?;
    let leaf = typed.leaf(&command);
    // A command with a file of its own names that.
    let named = typed.value("config");
    let own_file = WITHOUT.contains(&leaf.get_name()) && (leaf.get_name() != RELAY || named.is_none());
    let settings = match typed.commands.first().map(String::as_str) {
        _ if own_file => Ok(Settings::default()),
        // It makes the file.
        Some("config") => Settings::load_or_new(named),
        _ => Settings::load(named),
    };
    let settings = settings.map_err(Refused::Wrong)?;
    if let Some(line) = settings.strange(&command) {
        drop(STRANGE.set(line));
    }
    let defaults = settings.flags(leaf, &typed.named).map_err(Refused::Wrong)?;
    drop(SET.set(defaults.iter().map(|(flag, from)| (flag.name.clone(), from.clone())).collect()));
    typed.flags.splice(0..0, defaults.into_iter().map(|(flag, _)| flag));
    typed.keep_the_last(leaf);
    let path = ["netdrop"].into_iter().chain(typed.commands.iter().map(String::as_str));
    let path = path.collect::<Vec<_>>().join(" ");
    command.try_get_matches_from_mut(typed.canonical(program)).map_err(|e| match refused(&e, &path) {
        Refused::Wrong(why) => Refused::Wrong(blamed(why)),
        shown @ Refused::Shown(_) => shown,
    })
}

/// Flags of this run that were not typed, and where their values come from.
static SET: OnceLock<Vec<(String, String)>> = OnceLock::new();

/// What the config file has that no flag is called.
static STRANGE: OnceLock<String> = OnceLock::new();

/// What there is to say of the config file, though it is read.
pub fn strange_settings() -> Option<&'static str> {
    STRANGE.get().map(String::as_str)
}

/// Whether a flag was typed, and is not set elsewhere; by clap's name and its own.
pub(super) fn is_typed(m: &ArgMatches, id: &str, flag: &str) -> bool {
    let set = |name: &str| SET.get().into_iter().flatten().any(|(set, _)| set == name);
    m.try_contains_id(id).is_ok()
        && m.value_source(id) == Some(ValueSource::CommandLine)
        && !set(flag.trim_start_matches('-'))
}

/// What is wrong with a flag that was not typed is told with the variable or the file that sets it.
pub fn blamed(why: String) -> String {
    let names = |name: &str| {
        if why.starts_with(&format!("invalid {name} ")) {
            return true;
        }
        let after = why.split_once(&format!("--{name}")).map(|(_, after)| after.chars().next());
        after.is_some_and(|next| next.is_none_or(|c| !c.is_ascii_alphanumeric() && c != '-'))
    };
    match SET.get().into_iter().flatten().find(|(name, _)| names(name)) {
        Some((_, from)) if !why.starts_with(from) => format!("{from}: {why}"),
        _ => why,
    }
}

/// The config file that values were looked for in.
pub fn config_file(m: &ArgMatches) -> Option<PathBuf> {
    settings::in_use(m.get_one::<String>("config").map(String::as_str))
}

impl Typed {
    fn read(root: &Command, words: Vec<String>) -> Result<Self, String> {
        let mut typed = Self::default();
        let mut at = root;
        let mut rest = words.into_iter();
        while let Some(word) = rest.next() {
            if word == "--" {
                typed.words.extend(rest);
                break;
            }
            if let Some(long) = word.strip_prefix("--") {
                typed.long(at, &word, long, &mut rest)?;
            } else if let Some(shorts) = word.strip_prefix('-').filter(|s| !s.is_empty()) {
                typed.shorts(at, shorts, &mut rest)?;
            } else if let Some(command) = typed.command(at, &word) {
                typed.commands.push(command.get_name().to_owned());
                at = command;
            } else if typed.commands == ["observe"] && word == "flows" && typed.words.is_empty() {
                // `observe flows` is the long name of `observe`.
            } else {
                typed.words.push(word);
            }
        }
        Ok(typed)
    }

    fn command<'a>(&self, at: &'a Command, word: &str) -> Option<&'a Command> {
        let named = |c: &&Command| c.get_name() == word || c.get_all_aliases().any(|a| a == word);
        at.get_subcommands().find(named).filter(|_| self.words.is_empty())
    }

    fn long(
        &mut self,
        at: &Command,
        word: &str,
        long: &str,
        rest: &mut impl Iterator<Item = String>,
    ) -> Result<(), String> {
        let (name, value) = long.split_once('=').map_or((long, None), |(n, v)| (n, Some(v.to_owned())));
        if name.is_empty() || name.starts_with('-') {
            return Err(format!("bad flag syntax: {word}"));
        }
        let arg = find(at, &|a| a.get_long_and_visible_aliases().is_some_and(|all| all.contains(&name)));
        let Some(arg) = arg else { return Err(unknown(at, name)) };
        let value = match value {
            None if needs_value(arg) => {
                Some(rest.next().ok_or_else(|| format!("flag needs an argument: --{name}"))?)
            }
            value => value,
        };
        self.push(arg, value)
    }

    /// `-f`, `-fA`, `-n x`, `-nx`, `-n=x`.
    fn shorts(
        &mut self,
        at: &Command,
        shorts: &str,
        rest: &mut impl Iterator<Item = String>,
    ) -> Result<(), String> {
        let mut left = shorts;
        while let Some(short) = left.chars().next() {
            let arg = find(at, &|a| a.get_short() == Some(short))
                .ok_or_else(|| format!("unknown shorthand flag: {short:?} in -{left}"))?;
            let after = &left[short.len_utf8()..];
            let attached = after.strip_prefix('=').filter(|value| !value.is_empty());
            if let Some(value) = attached {
                return self.push(arg, Some(value.to_owned()));
            }
            if needs_value(arg) {
                let value = match after {
                    "" => {
                        rest.next().ok_or_else(|| format!("flag needs an argument: {short:?} in -{left}"))?
                    }
                    after => after.to_owned(),
                };
                return self.push(arg, Some(value));
            }
            self.push(arg, None)?;
            left = after;
        }
        Ok(())
    }

    /// A switch becomes its name, or nothing where it is switched off.
    fn push(&mut self, arg: &Arg, value: Option<String>) -> Result<(), String> {
        let Some(name) = arg.get_long().map(str::to_owned) else { return Ok(()) };
        self.named.push(name.clone());
        match (arg.get_action(), value) {
            (ArgAction::SetTrue, Some(value)) => {
                let on = go::parse_bool(&value).map_err(|why| invalid(arg, &value, &why))?;
                self.flags.retain(|f| f.name != name);
                self.flags.extend(on.then_some(Flag { name, value: None }));
            }
            // Some filters stand alone: what is given to them makes no difference.
            (_, _) if arg.get_num_args().is_some_and(|n| n.max_values() == 0) => {
                self.flags.push(Flag { name, value: None });
            }
            (_, value) => self.flags.push(Flag { name, value }),
        }
        Ok(())
    }

    /// The words after `help` name a command; those after one that takes words are not looked at, as in `help observe flows`.
    fn topic(&mut self) -> Result<(), String> {
        if self.commands.first().is_none_or(|c| c != "help") {
            return Ok(());
        }
        match std::mem::take(&mut self.words).first() {
            Some(word) if self.commands.len() == 1 => {
                Err(format!("unknown help topic {}: `netdrop help` lists the commands", go::quote(word)))
            }
            _ => Ok(()),
        }
    }

    fn leaf<'a>(&self, root: &'a Command) -> &'a Command {
        self.commands.iter().fold(root, |at, name| at.find_subcommand(name).unwrap_or(at))
    }

    fn value(&self, name: &str) -> Option<&str> {
        self.flags.iter().rev().find(|f| f.name == name)?.value.as_deref()
    }

    /// Of flags that have one value the last counts.
    fn keep_the_last(&mut self, leaf: &Command) {
        let single = |name: &str| {
            let arg = leaf.get_arguments().find(|a| a.get_long() == Some(name));
            arg.is_some_and(|a| matches!(a.get_action(), ArgAction::Set | ArgAction::SetTrue))
        };
        let all = std::mem::take(&mut self.flags);
        for (i, flag) in all.iter().enumerate() {
            if !single(&flag.name) || !all[i + 1..].iter().any(|later| later.name == flag.name) {
                self.flags.push(flag.clone());
            }
        }
    }

    fn canonical(self, program: OsString) -> Vec<OsString> {
        let mut out = vec![program];
        out.extend(self.commands.into_iter().map(Into::into));
        out.extend(self.flags.into_iter().map(|flag| match flag.value {
            Some(value) => format!("--{}={value}", flag.name).into(),
            None => format!("--{}", flag.name).into(),
        }));
        if !self.words.is_empty() {
            out.push("--".into());
            out.extend(self.words.into_iter().map(Into::into));
        }
        out
    }
}

/// A flag of a command, or of one below it: flags may stand before the command they are for.
fn find<'a>(at: &'a Command, is: &dyn Fn(&Arg) -> bool) -> Option<&'a Arg> {
    at.get_arguments().find(|a| is(a)).or_else(|| at.get_subcommands().find_map(|c| find(c, is)))
}

/// Switches and flags that may stand without a value take one after `=` only.
fn needs_value(arg: &Arg) -> bool {
    arg.get_action().takes_values() && arg.get_num_args().is_none_or(|n| n.min_values() > 0)
}

/// As the client names a flag.
pub(super) fn shown(long: &str, short: Option<char>) -> String {
    short.map_or_else(|| format!("--{long}"), |s| format!("-{s}, --{long}"))
}

/// As the client tells that a flag's value makes no sense.
pub(super) fn invalid(arg: &Arg, value: &str, why: &str) -> String {
    let name = shown(arg.get_long().unwrap_or_default(), arg.get_short());
    format!("invalid argument {} for {} flag: {why}", go::quote(value), go::quote(&name))
}

fn unknown(at: &Command, name: &str) -> String {
    let known = at.get_arguments().filter_map(Arg::get_long);
    let near = crate::kernel::reasons::closest(name, known)
        .map_or_else(String::new, |near| format!(" (did you mean --{near}?)"));
    format!("unknown flag: --{name}{near}")
}

/// clap's complaint about a command in one line.
fn refused(e: &clap::Error, path: &str) -> Refused {
    let text = e.render().to_string();
    // Who names no command is shown which there are.
    if !e.use_stderr() || e.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        return Refused::Shown(text);
    }
    let of = |kind| match e.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        _ => None,
    };
    Refused::Wrong(match (e.kind(), of(ContextKind::InvalidArg), of(ContextKind::InvalidSubcommand)) {
        (ErrorKind::UnknownArgument, Some(arg), _) if arg.starts_with('-') => format!("unknown flag: {arg}"),
        (ErrorKind::UnknownArgument, Some(arg), _) => format!("unknown argument {}", go::quote(&arg)),
        (ErrorKind::InvalidSubcommand, _, Some(word)) => {
            let near = match e.get(ContextKind::SuggestedSubcommand) {
                Some(ContextValue::Strings(near)) => near.first(),
                _ => None,
            };
            let near = near.map_or_else(String::new, |near| format!(" (did you mean {near}?)"));
            format!("unknown command {} for {}{near}", go::quote(&word), go::quote(path))
        }
        (ErrorKind::ValueValidation | ErrorKind::InvalidValue, Some(arg), _)
            if arg.starts_with('-') && e.source().is_some() =>
        {
            let name = arg.split([' ', '=', '[']).next().unwrap_or_default();
            let why = e.source().map(ToString::to_string).unwrap_or_default();
            let value = of(ContextKind::InvalidValue).unwrap_or_default();
            format!("invalid argument {} for {} flag: {why}", go::quote(&value), go::quote(name))
        }
        _ => {
            let said = text.split("\n\n").next().unwrap_or_default();
            said.trim_start_matches("error: ").split_whitespace().collect::<Vec<_>>().join(" ")
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command() -> Command {
        Command::new("netdrop")
            .arg(Arg::new("debug").long("debug").short('D').action(ArgAction::SetTrue).global(true))
            .subcommand(crate::cli::observe::command())
    }

    fn read(line: &str) -> Result<Vec<String>, String> {
        let mut command = command();
        command.build();
        let words = line.split_whitespace().map(str::to_owned).collect();
        let mut typed = Typed::read(&command, words)?;
        typed.keep_the_last(typed.leaf(&command));
        Ok(typed.canonical("n".into()).into_iter().skip(1).map(|w| w.into_string().unwrap()).collect())
    }

    #[test]
    fn words_are_read_as_the_client_reads_them() {
        for (line, expected) in [
            ("observe --pod --not", "observe --pod=--not"),
            ("observe -fA4", "observe --follow --all-namespaces --ipv4"),
            ("observe -fnx -n=y -t drop", "observe --follow --namespace=x --namespace=y --type=drop"),
            ("observe --follow=false --last 1 --last=2", "observe --last=2"),
            ("observe -f --follow=0", "observe"),
            ("observe --not=x --pod a", "observe --not --pod=a"),
            ("--last 5 -D observe flows", "observe --last=5 --debug"),
            ("observe -- --pod", "observe -- --pod"),
        ] {
            assert_eq!(read(line).unwrap().join(" "), expected, "{line}");
        }
        for (line, expected) in [
            ("observe --nonsense", "unknown flag: --nonsense"),
            ("observe -fx", "unknown shorthand flag: 'x' in -x"),
            ("observe --pod", "flag needs an argument: --pod"),
            ("observe -fn", "flag needs an argument: 'n' in -n"),
            ("observe --=x", "bad flag syntax: --=x"),
            (
                "observe --follow=maybe",
                "invalid argument \"maybe\" for \"-f, --follow\" flag: strconv.ParseBool: parsing \"maybe\": invalid syntax",
            ),
        ] {
            assert_eq!(read(line).unwrap_err(), expected, "{line}");
        }
        assert!(read("observe --podd").unwrap_err().starts_with("unknown flag: --podd (did you mean --"));
    }
}
