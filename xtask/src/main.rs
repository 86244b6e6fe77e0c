//! Orchestration of netdrop's build, demo and tests.

mod demo;

use clap::Parser;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Builds, shows and tests netdrop")]
enum Task {
    /// Shows real drops on two nodes with two pods each
    Demo(demo::DemoArgs),
}

fn main() -> anyhow::Result<()> {
    match Task::parse() {
        Task::Demo(args) => demo::run(args),
    }
}
