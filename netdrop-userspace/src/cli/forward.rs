//! Hubble's flags for a tunnel to its relay, through the API server of a cluster.

use std::path::PathBuf;

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Args, Command, Error, FromArgMatches};

use super::server_flags::file;
use crate::connect::tunnel::{Port, Tunnel};
use crate::go;

/// What was typed.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Tunnel into a cluster")]
pub struct ForwardFlags {
    /// Ask the relay of a cluster, through its API server, in place of --server
    #[arg(short = 'P', long)]
    pub port_forward: bool,
    /// Where other clients find the relay meanwhile.
    #[command(flatten)]
    pub port: PortFlag,
    /// Cluster of -P: a context of the kubeconfig [default: its current one]
    #[arg(long, value_name = "NAME")]
    pub kube_context: Option<String>,
    /// Where -P looks for the service netdrop-relay, then hubble-relay [default: netdrop, then kube-system]
    #[arg(long, value_name = "NAME")]
    pub kube_namespace: Option<String>,
    /// Cluster of -P [default: $KUBECONFIG, ~/.kube/config, or the cluster that netdrop runs in]
    #[arg(long, value_name = "FILE", value_parser = file)]
    pub kubeconfig: Option<PathBuf>,
}

/// The port, and whether it was typed: the default one may be taken, as by another tunnel.
#[derive(Clone, Copy, Debug, Default)]
pub struct PortFlag(Port);

const PORT: &str = "port_forward_port";
const PORT_HELP: &str = "Port of this machine where other clients reach the same relay while -P lasts, as Hubble's; 0 takes a \
    free one. The default is left alone where it is in use";

impl Args for PortFlag {
    fn augment_args(command: Command) -> Command {
        let arg = Arg::new(PORT).long("port-forward-port").value_name("PORT").help(PORT_HELP);
        command.arg(arg.default_value("4245").value_parser(port))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for PortFlag {
    fn from_arg_matches(m: &ArgMatches) -> Result<Self, Error> {
        let mut flag = Self::default();
        flag.update_from_arg_matches(m).map(|()| flag)
    }

    fn update_from_arg_matches(&mut self, m: &ArgMatches) -> Result<(), Error> {
        if let Some(number) = m.get_one::<u16>(PORT) {
            let asked = m.value_source(PORT) == Some(ValueSource::CommandLine);
            self.0 = Port { number: *number, asked };
        }
        Ok(())
    }
}

fn port(text: &str) -> Result<u16, String> {
    let port = go::parse_uint(text, 0, 16)?;
    u16::try_from(port).map_err(|e| e.to_string())
}

impl ForwardFlags {
    /// The tunnel that is asked for.
    pub(super) fn tunnel(&self) -> Option<Tunnel> {
        let some = |text: &Option<String>| text.clone().filter(|t| !t.is_empty());
        self.port_forward.then(|| Tunnel {
            kubeconfig: self.kubeconfig.clone().filter(|path| !path.as_os_str().is_empty()),
            context: some(&self.kube_context),
            namespace: some(&self.kube_namespace),
            port: self.port.0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tunnel(args: &[&str]) -> Option<Port> {
        let command = ForwardFlags::augment_args(Command::new("test").no_binary_name(true));
        let matches = command.try_get_matches_from(args).unwrap();
        ForwardFlags::from_arg_matches(&matches).unwrap().tunnel().map(|t| t.port)
    }

    #[test]
    fn a_port_that_was_typed_is_told_from_the_default() {
        assert_eq!(tunnel(&["--port-forward-port", "1"]), None);
        assert_eq!(tunnel(&["-P"]), Some(Port { number: 4245, asked: false }));
        assert_eq!(tunnel(&["-P", "--port-forward-port", "4245"]), Some(Port { number: 4245, asked: true }));
        assert_eq!(tunnel(&["-P", "--port-forward-port", "0"]), Some(Port { number: 0, asked: true }));
    }
}
