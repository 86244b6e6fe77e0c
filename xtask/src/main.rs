//! Orchestration of netdrop's build, demo and tests.

mod bench;
mod cluster;
mod demo;
mod docs;
mod fuzz;
mod image;
mod man;
mod shell;
mod test;
mod tools;
mod vm;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Builds, shows and tests netdrop")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Shows real drops on two nodes with two pods each
    Demo(demo::DemoArgs),
    /// Runs all tests: units, real drops in namespaces, a real cluster
    Test(test::TestArgs),
    /// Measures what netdrop costs, beside the least that a tracer can do; under ten minutes once built
    Bench(bench::BenchArgs),
    /// Feeds hostile bytes to all that reads bytes, steered by coverage
    Fuzz(fuzz::FuzzArgs),
    /// Runs the tests of real drops on other kernels, in virtual machines
    Vm(vm::VmArgs),
    /// Installs what the build needs
    Tools,
    /// Writes the man pages
    Man(man::ManArgs),
    /// Writes the documents that come from the code: docs/reasons.md
    Docs,
    /// Writes an OCI archive of netdrop as one static binary
    Image(image::ImageArgs),
    /// A real two-node Kubernetes cluster in network namespaces
    Cluster(cluster::ClusterArgs),
}

fn run(task: Task) -> anyhow::Result<()> {
    match task {
        Task::Demo(args) => {
            tools::build()?;
            tools::network()?;
            demo::run(args)
        }
        Task::Test(args) => test::test(&args),
        Task::Bench(args) => bench::bench(&args),
        Task::Fuzz(args) => fuzz::fuzz(&args),
        Task::Vm(args) => vm::vm(&args),
        Task::Tools => tools::build().and_then(|()| tools::tests()),
        Task::Docs => docs::docs(),
        Task::Man(args) => man::man(args),
        Task::Image(args) => image::image(&args),
        Task::Cluster(args) => cluster::cluster(args),
    }
}

fn main() -> ExitCode {
    let done = if fuzz::wraps() {
        fuzz::wrapped(std::env::args_os().skip(1))
    } else {
        run(Cli::parse().task).map(|()| ExitCode::SUCCESS)
    };
    match done {
        Ok(code) => code,
        Err(e) => {
            shell::say("!!", format_args!("{e:#}"));
            ExitCode::FAILURE
        }
    }
}
