//! Flags of `observe` about what is read and asked for beside filters: files, field masks, policies.

use std::path::PathBuf;

use anyhow::{anyhow, bail};
use clap::builder::ArgAction;
use clap::{Arg, ArgMatches, Command};

use super::args;
use super::capture::StackDepth;
use crate::go;
use crate::sink::Format;
use crate::wire::mask::{DEFAULT, FieldMask};

/// What the flags say.
#[derive(Clone, Debug, Default)]
pub struct ShownConfig {
    /// A file of flows, or `-`.
    pub input_file: Option<PathBuf>,
    /// Name the policies that allowed or denied.
    pub policy_names: bool,
    /// Print the bare flow as JSON.
    pub legacy_json: bool,
    /// Print nothing about nodes.
    pub silent: bool,
    /// Which fields a server is asked for; empty: all.
    pub field_mask: Vec<String>,
    /// Whether that mask was asked for by name.
    pub own_mask: bool,
    /// Flags that were typed and change nothing, since flows come from a file.
    pub idle: Vec<&'static str>,
}

/// Flags about servers, names and capture, by clap's name: a file needs none of them.
const NOT_FOR_FILES: [(&str, &str); 22] = [
    ("names", "--names"),
    ("as-node", "--as-node"),
    ("include-benign", "--include-benign"),
    ("server", "--server"),
    ("tls", "--tls"),
    ("tls_allow_insecure", "--tls-allow-insecure"),
    ("tls_ca_cert_files", "--tls-ca-cert-files"),
    ("tls_client_cert_file", "--tls-client-cert-file"),
    ("tls_client_key_file", "--tls-client-key-file"),
    ("tls_server_name", "--tls-server-name"),
    ("basic_auth_username", "--basic-auth-username"),
    ("basic_auth_password", "--basic-auth-password"),
    ("timeout", "--timeout"),
    ("request_timeout", "--request-timeout"),
    ("port_forward_port", "--port-forward-port"),
    ("kube_context", "--kube-context"),
    ("kube_namespace", "--kube-namespace"),
    ("kubeconfig", "--kubeconfig"),
    ("events_per_flow", "--events-per-flow"),
    ("memory_budget", "--memory-budget"),
    ("ring_size", "--ring-size"),
    ("flow_map_size", "--flow-map-size"),
];

/// Those of them that were typed.
fn idle(m: &ArgMatches) -> Vec<&'static str> {
    NOT_FOR_FILES.iter().filter(|(id, flag)| args::is_typed(m, id, flag)).map(|(_, flag)| *flag).collect()
}

/// Adds the flags about what is printed.
pub(super) fn add(command: Command) -> Command {
    let switch = |name: &'static str, help: &'static str| {
        Arg::new(name).long(name).action(ArgAction::SetTrue).help(help)
    };
    command
        // As with Hubble's client, the last of several counts.
        .args_override_self(true)
        .arg(switch("print-policy-names", "Name the policies that allowed or denied"))
        .arg(switch("silent-errors", "Print nothing about nodes that are in trouble").short('s'))
        .arg(
            Arg::new("field-mask")
                .long("field-mask")
                .value_name("FIELD,...")
                .action(ArgAction::Append)
                .help("With -o json, ask a server for these fields only, as source.pod_name,verdict"),
        )
        .arg(
            Arg::new("use-default-field-masks")
                .long("use-default-field-masks")
                .value_name("BOOL")
                .num_args(0..=1)
                .require_equals(true)
                .default_value("true")
                .default_missing_value("true")
                .help("Ask a server only for the fields that compact, dict and table show"),
        )
}

/// Adds the flag about where flows are read from.
pub(super) fn add_source(command: Command) -> Command {
    command.arg(
        Arg::new("input-file")
            .long("input-file")
            .value_name("FILE")
            .help("Flows from a file of JSON lines, also .gz and .zst; - is standard input"),
    )
}

impl ShownConfig {
    /// `output`: the format as typed.
    pub(super) fn from_matches(m: &ArgMatches, format: Format, output: &str) -> anyhow::Result<Self> {
        let mut mask = Vec::new();
        for value in m.get_many::<String>("field-mask").into_iter().flatten() {
            let paths = go::parse_list(value).map_err(|why| {
                anyhow!("invalid argument {} for \"--field-mask\" flag: {why}", go::quote(value))
            })?;
            mask.extend(paths);
        }
        let own_mask = !mask.is_empty();
        let defaults = m.get_one::<String>("use-default-field-masks").map_or("true", String::as_str);
        let defaults = go::parse_bool(defaults).map_err(|why| {
            let value = go::quote(defaults);
            anyhow!("invalid argument {value} for \"--use-default-field-masks\" flag: {why}")
        })?;
        let legacy_json = format == Format::Json && output != "jsonpb" && legacy_asked();
        if format != Format::Json || legacy_json {
            if own_mask {
                bail!("{output} output format is not compatible with custom field mask");
            }
            // What only netdrop shows is in none of Hubble's columns.
            let stacks = m.get_one::<StackDepth>("stack").is_some_and(|depth| depth.0 > 0);
            if defaults && format != Format::Wide && !stacks {
                mask = DEFAULT.map(str::to_owned).into();
            }
        }
        if let Err(e) = FieldMask::parse(&mask) {
            bail!("failed to construct field mask: proto: {e}");
        }
        let input_file = m.get_one::<String>("input-file").filter(|f| !f.is_empty()).map(PathBuf::from);
        Ok(Self {
            idle: if input_file.is_some() { idle(m) } else { Vec::new() },
            input_file,
            policy_names: m.get_flag("print-policy-names"),
            legacy_json,
            silent: m.get_flag("silent-errors"),
            field_mask: mask,
            own_mask,
        })
    }
}

/// `HUBBLE_COMPAT` may hold it among others.
pub(super) fn legacy_asked() -> bool {
    std::env::var("HUBBLE_COMPAT")
        .is_ok_and(|v| v.split(',').any(|o| o.eq_ignore_ascii_case("legacy-json-output")))
}
