//! Hubble's flags for a tunnel to its relay. netdrop opens none, and says which command does.

use anyhow::{anyhow, bail};
use clap::builder::ArgAction;
use clap::{Arg, ArgMatches, Command};

use crate::go;

/// Adds the flags.
pub(super) fn add(command: Command) -> Command {
    let text = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).help(help)
    };
    let switch = Arg::new("port-forward").long("port-forward").short('P').action(ArgAction::SetTrue);
    command
        .arg(switch.help("Say how to forward a port to the relay of a cluster"))
        .arg(text("port-forward-port", "PORT", "With -P: the local port").default_value("4245"))
        .arg(text("kube-context", "NAME", "With -P: context of the kubeconfig"))
        .arg(text("kube-namespace", "NAME", "With -P: namespace of the relay").default_value("kube-system"))
}

/// Without `-P` the others make no difference, but must make sense.
pub(super) fn check(m: &ArgMatches, asks_a_server: bool) -> anyhow::Result<()> {
    let text = |name: &str| m.get_one::<String>(name).map_or("", String::as_str);
    let port = go::parse_uint(text("port-forward-port"), 0, 16).map_err(|why| {
        let port = go::quote(text("port-forward-port"));
        anyhow!("invalid argument {port} for \"--port-forward-port\" flag: {why}")
    })?;
    if !asks_a_server || !m.get_flag("port-forward") {
        return Ok(());
    }
    if !text("input-file").is_empty() {
        bail!("cannot use --input-file and --auto-port-forward together");
    }
    let context = match text("kube-context") {
        "" => String::new(),
        context => format!(" --context {context}"),
    };
    let namespace = text("kube-namespace");
    Err(anyhow!(
        "--port-forward opens no tunnel here: run `kubectl{context} --namespace {namespace} port-forward service/hubble-relay \
         {port}:80`, and ask it with --server localhost:{port}"
    ))
}
