//! `cargo xtask`: what the project does with itself.

#![allow(clippy::print_stdout, reason = "a program that prints")]

use anyhow::{Context as _, Result, ensure};
use clap::{Parser, Subcommand};
use std::{
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};
use xtask::{
    bench,
    evaluate::{self, Analyzer},
    mix::{self, Source},
    scene,
    traffic::Form,
};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "What the project does with itself")]
struct Cli {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Writes a capture of a scene, and what is true about it
    Scene {
        /// The scene; `all` for every one
        #[arg(required_unless_present = "list")]
        name: Option<String>,
        /// Lists the scenes
        #[arg(long)]
        list: bool,
        /// Draws addresses, ports, timing and rates
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Where NAME-SEED.pcap and NAME-SEED.truth.json go
        #[arg(long, default_value = "scenes")]
        out: PathBuf,
        /// Always a plain pcap, instead of a form drawn from the seed
        #[arg(long)]
        plain: bool,
        /// A Zeek conn.log instead of a capture
        #[arg(long, conflicts_with = "plain")]
        zeek: bool,
    },
    /// A capture of many copies of captures or scenes, each with addresses of its own
    Mix {
        /// pcap files (little-endian, Ethernet) or names of scenes
        #[arg(required = true)]
        sources: Vec<String>,
        /// At least so many packets
        #[arg(long, default_value_t = 3_000_000)]
        packets: u64,
        /// Seed of the scenes
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// The file
        #[arg(long, default_value = "mix.pcap")]
        out: PathBuf,
    },
    /// The measures of bench/README.md
    Bench {
        /// Only measures whose name contains this: mix-devices, mix-attacks, mix-payloads, million-flows, idle, size
        #[arg(long, default_value = "")]
        only: String,
        /// Packets in a mix
        #[arg(long, default_value_t = 3_000_000)]
        packets: u64,
        /// Where the mixes go
        #[arg(long)]
        dir: Option<PathBuf>,
        /// The captures of ../shared/data
        #[arg(long)]
        data: Option<PathBuf>,
        /// The program; built where not given
        #[arg(long)]
        bastide: Option<PathBuf>,
    },
    /// How well detection does, on the captures beside the repository and on scenes
    Evaluate {
        /// Seeds of each scene
        #[arg(long, default_value_t = 3)]
        seeds: u64,
        /// Zeek connection logs of the scenes, instead of captures
        #[arg(long)]
        logs: bool,
        /// The first of them
        #[arg(long, default_value_t = 1)]
        first_seed: u64,
        /// Only scenes whose name contains this, and no captures
        #[arg(long, default_value = "")]
        only: String,
        /// The captures of ../shared/data
        #[arg(long)]
        data: Option<PathBuf>,
        /// The program; built where not given
        #[arg(long)]
        bastide: Option<PathBuf>,
        /// One JSON document instead of tables
        #[arg(long)]
        json: bool,
        /// Keeps captures and truths of scenes with faults here
        #[arg(long)]
        keep: Option<PathBuf>,
    },
}

fn main() -> Result<ExitCode> {
    match Cli::parse().chore {
        Chore::Scene { name, list, seed, out, plain, zeek } => {
            if list {
                for scene in scene::all() {
                    println!("{:24} {}", scene.name, scene.about);
                }
                return Ok(ExitCode::SUCCESS);
            }
            let name = name.unwrap_or_default();
            let chosen: Vec<_> =
                if name == "all" { scene::all().collect() } else { vec![scene::find(&name)?] };
            for scene in chosen {
                let world = scene::play(scene, seed);
                let (form, snap) = match (plain, zeek) {
                    (true, _) => (Form::Pcap, 65_535),
                    (_, true) => (Form::Zeek, 0),
                    _ => scene::dress(&world, seed),
                };
                let (capture, _) = scene::save(&world, &out, &format!("{}-{seed}", scene.name), form, snap)?;
                println!("{} ({} packets, {form:?})", capture.display(), world.tape.len());
            }
        }
        Chore::Mix { sources, packets, seed, out } => {
            let sources: Vec<_> = sources
                .iter()
                .map(|name| match Path::new(name) {
                    path if path.is_file() => Source::from_file(path),
                    _ => {
                        scene::find(name).map(|scene| Source::from_tape(name, &scene::play(scene, seed).tape))
                    }
                })
                .collect::<Result<_>>()?;
            let (written, copies) = mix::write(&out, &sources, packets)?;
            println!("{} ({written} packets, {copies} copies of {} sources)", out.display(), sources.len());
        }
        Chore::Bench { only, packets, dir, data, bastide } => {
            let bastide = bastide.map_or_else(build, Ok)?;
            let data = data.unwrap_or_else(|| root().join("../shared/data"));
            let dir = dir.unwrap_or_else(|| std::env::temp_dir().join("bastide-bench"));
            bench::run(&bench::Options { bastide, data, dir, packets, only })?;
        }
        Chore::Evaluate { seeds, logs, first_seed, only, data, bastide, json, keep } => {
            let binary = bastide.map_or_else(build, Ok)?;
            let data = data.unwrap_or_else(|| root().join("../shared/data"));
            let analyzer = Analyzer { binary };
            let options = evaluate::Options { analyzer, data, seeds, first_seed, logs, only, json, keep };
            if !evaluate::run(&options)? {
                return Ok(ExitCode::FAILURE);
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map_or_else(PathBuf::new, Path::to_path_buf)
}

/// Builds the program beside this one, in the same profile, and says where it is.
fn build() -> Result<PathBuf> {
    let here = std::env::current_exe()?;
    let dir = here.parent().context("this program has no place")?;
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(root()).args(["build", "--quiet", "--package", "bastide"]);
    if dir.ends_with("release") {
        cargo.arg("--release");
    }
    ensure!(cargo.status()?.success(), "bastide could not be built");
    Ok(dir.join("bastide"))
}
