//! The scenes: attacks and the harmless traffic that looks most like them, each drawn from a seed.

mod amplification;
mod botnet;
mod city;
mod crowds;
mod device;
mod floods;
mod guessing;
mod local;
mod noise;
mod routine;
mod scans;
mod trouble;
mod worms;

use crate::{traffic::Form, truth::Truth, world::World};
use anyhow::{Context as _, Result, bail};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// A scene that can be played.
pub struct Scene {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it shows, in one line.
    pub about: &'static str,
    /// Plays it.
    pub play: fn(&mut World),
}

/// All of them: attacks first.
pub fn all() -> impl Iterator<Item = &'static Scene> {
    [
        scans::SCENES,
        guessing::SCENES,
        botnet::SCENES,
        floods::SCENES,
        amplification::SCENES,
        local::SCENES,
        worms::SCENES,
        device::SCENES,
        noise::SCENES,
        city::SCENES,
        routine::SCENES,
        crowds::SCENES,
        trouble::SCENES,
    ]
    .into_iter()
    .flatten()
}

/// The scene of that name.
///
/// # Errors
/// Where there is none; the error lists what there is.
pub fn find(name: &str) -> Result<&'static Scene> {
    match all().find(|scene| scene.name == name) {
        Some(scene) => Ok(scene),
        None => {
            let names: Vec<_> = all().map(|scene| scene.name).collect();
            bail!("expected one of {}, found {name:?}", names.join(", "))
        }
    }
}

/// Plays a scene with a seed.
#[must_use]
pub fn play(scene: &Scene, seed: u64) -> World {
    stage(scene, World::new(scene.name, seed))
}

/// Plays a scene in a world that was made for it.
#[must_use]
pub fn stage(scene: &Scene, mut world: World) -> World {
    world.truth.about = scene.about.to_owned();
    (scene.play)(&mut world);
    world.finish();
    world
}

/// The form of file and the snap length in which a scene of that seed is written, where nobody chose.
#[must_use]
pub fn dress(world: &World, seed: u64) -> (Form, usize) {
    let mut rng = crate::traffic::Rng::new(seed, &format!("form of {}", world.truth.scene));
    // What happens below IP is lost in the raw form, and the cooked one keeps the sender's address only.
    let parts = ["arp", "dhcp", "ok-dhcp", "ok-shared-address", "ok-power-cut", "ok-port-of-a-switch"];
    let below_ip = parts.iter().any(|part| world.truth.scene.starts_with(part));
    let form = match rng.below(8) {
        0 => Form::PcapBig,
        1 | 2 => Form::Pcapng,
        3 => Form::Tagged,
        4 if !below_ip => Form::Cooked,
        5 if !below_ip => Form::Raw,
        _ => Form::Pcap,
    };
    (form, 65_535)
}

/// Writes a played scene as NAME.pcap (or .pcapng) and NAME.truth.json.
///
/// # Errors
/// Where the files cannot be written.
pub fn save(world: &World, dir: &Path, stem: &str, form: Form, snap: usize) -> Result<(PathBuf, PathBuf)> {
    fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
    let capture = dir.join(format!("{stem}.{}", form.suffix()));
    let truth = dir.join(format!("{stem}.truth.json"));
    crate::traffic::write(&capture, &world.tape, form, snap)?;
    fs::write(&truth, serde_json::to_vec_pretty(&world.truth)?)
        .with_context(|| format!("cannot write {}", truth.display()))?;
    Ok((capture, truth))
}

/// Whether a connection log holds enough to tell the scene: logins, code, ARP, DHCP, names and who answered a broadcast
/// are not in it.
#[must_use]
pub fn in_logs(scene: &Scene) -> bool {
    let told = [
        "scan-",
        "sweep-",
        "flood-syn-",
        "flood-udp-",
        "flood-icmp-",
        "flood-http-",
        "amp-",
        "retries",
        "ok-",
        "mirai-unseen",
        "beacon-scan",
    ];
    let needs_more = [
        "scan-sideways",
        "flood-dns-random",
        "ok-dead-cloud",
        "ok-outage",
        "ok-one-way",
        "ok-two-uplinks",
        "ok-traceroute",
        "ok-too-big",
        "ok-broken-six",
        "ok-gateway-dead-cloud",
        "ok-sent-on",
        "ok-dhcp-pair",
        "ok-power-cut",
        "ok-port-of-a-switch",
    ];
    told.iter().any(|start| scene.name.starts_with(start)) && !needs_more.contains(&scene.name)
}

/// Reads a truth back.
///
/// # Errors
/// Where it is not there or not one.
pub fn read_truth(path: &Path) -> Result<Truth> {
    let text = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_slice(&text).with_context(|| format!("{}: expected a truth", path.display()))
}
