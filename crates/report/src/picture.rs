//! The picture of an incident: who did what to whom, in frames from left to right.
//!
//! Guarantees: bounded (four names a frame, the rest as a number), shows groups and never claims a pair of addresses
//! that the incident does not state; senders whose addresses could be forged are drawn as nobody.

use crate::{
    Context, clipped,
    svg::{Anchor, Pen, letters_in},
    words,
};
use model::{Incident, IncidentAsset, Role};

const WIDTH: f64 = 960.0;
/// Room for the stroke of the outer frames.
const EDGE: f64 = 1.5;
const BETWEEN: f64 = 132.0;
const WIDEST: f64 = 232.0;
const ROW: f64 = 22.0;
const HEAD: f64 = 30.0;
/// Names in a frame; the rest is a number.
const MOST_NAMES: usize = 4;

/// Who stands in a frame.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Who {
    Forged,
    As(Role),
}

struct Frame {
    who: Who,
    names: Vec<(String, String)>,
    more: usize,
    at: (f64, f64),
    height: f64,
}

/// Who did what to whom in one incident. `None` where there is nobody to draw an arrow between.
///
/// `name` must be unique on the page.
#[must_use]
pub fn incident_picture(name: &str, incident: &Incident, context: &Context) -> Option<String> {
    let mut columns = columns(incident, context);
    if columns.len() < 2 {
        return None;
    }
    let across = columns.len() as f64;
    let frame_width = ((WIDTH - 2.0 * EDGE - BETWEEN * (across - 1.0)) / across).min(WIDEST);
    let height = place(&mut columns, frame_width);
    let mut pen = Pen::new(WIDTH);
    for pair in columns.windows(2) {
        if let [left, right] = pair {
            arrows(&mut pen, left, right, frame_width);
        }
    }
    for frame in columns.iter().flatten() {
        draw(&mut pen, frame, frame_width);
    }
    let description = describe(&columns);
    Some(pen.finish(name, "picture", "Who did what to whom?", &description, height))
}

fn columns(incident: &Incident, context: &Context) -> Vec<Vec<Frame>> {
    let frame = |role: Role| {
        let assets: Vec<&IncidentAsset> = incident.assets.iter().filter(|asset| asset.role == role).collect();
        let names = assets.iter().take(MOST_NAMES).map(|asset| named(asset, context)).collect();
        (!assets.is_empty()).then_some(Frame {
            who: Who::As(role),
            names,
            more: assets.len().saturating_sub(MOST_NAMES),
            at: (0.0, 0.0),
            height: 0.0,
        })
    };
    let column = |roles: &[Role]| roles.iter().filter_map(|role| frame(*role)).collect::<Vec<_>>();
    let mut columns = vec![
        column(&[Role::Attacker, Role::Controller]),
        column(&[Role::Infected]),
        column(&[Role::Reflector]),
        column(&[Role::Victim, Role::Target]),
    ];
    columns.retain(|column| !column.is_empty());
    let harmed = |who: &Who| matches!(who, Who::As(Role::Victim | Role::Target | Role::Reflector));
    let unknown = columns.first().is_some_and(|first| first.iter().all(|frame| harmed(&frame.who)));
    if unknown && columns.len() == 1 {
        let nobody = Frame {
            who: Who::Forged,
            names: vec![("senders that could be forged".into(), "nobody can be named by them".into())],
            more: 0,
            at: (0.0, 0.0),
            height: 0.0,
        };
        columns.insert(0, vec![nobody]);
    }
    columns
}

/// A name before an address, wherever there is one; and the tip with both.
fn named(asset: &IncidentAsset, context: &Context) -> (String, String) {
    let address = asset.address.to_string();
    let tip = format!("{address}, {}, {}", words::side(asset), words::role_means(asset.role));
    match context.names.get(&asset.address) {
        Some(name) => (name.clone(), format!("{name}: {tip}")),
        None => (address, tip),
    }
}

/// Gives every frame its place; returns the height of all.
fn place(columns: &mut [Vec<Frame>], frame_width: f64) -> f64 {
    let gap = 16.0;
    let tall = |frame: &Frame| HEAD + ROW * (frame.names.len() + usize::from(frame.more > 0)) as f64 + 6.0;
    let height_of =
        |column: &[Frame]| column.iter().map(tall).sum::<f64>() + gap * column.len().saturating_sub(1) as f64;
    let height = columns.iter().map(|column| height_of(column)).fold(0.0, f64::max);
    let across = columns.len() as f64;
    let room = if across > 1.0 { (WIDTH - 2.0 * EDGE - frame_width * across) / (across - 1.0) } else { 0.0 };
    for (index, column) in columns.iter_mut().enumerate() {
        let mut top = 2.0 + (height - height_of(column)) / 2.0;
        for frame in column {
            frame.height = tall(frame);
            frame.at = (EDGE + index as f64 * (frame_width + room.min(220.0)), top);
            top += frame.height + gap;
        }
    }
    height + 4.0
}

/// What goes from one frame to the next, in a word or two.
const fn act(from: Who, to: Who) -> &'static str {
    match (from, to) {
        (Who::As(Role::Attacker), Who::As(Role::Infected)) => "took over",
        (Who::As(Role::Attacker), Who::As(Role::Reflector)) => "asks as the victim",
        (Who::As(Role::Attacker | Role::Infected), Who::As(Role::Victim)) => "attacks",
        (Who::As(Role::Attacker | Role::Infected), Who::As(Role::Target)) => "aims at",
        (Who::As(Role::Controller), Who::As(Role::Infected)) => "gives orders to",
        (Who::As(Role::Controller), _) => "stands behind",
        (Who::As(Role::Infected), Who::As(Role::Reflector)) => "asks as the victim",
        (Who::As(Role::Reflector), Who::As(Role::Victim | Role::Target)) => "answers, unasked",
        (Who::Forged, _) => "flood",
        _ => "",
    }
}

fn arrows(pen: &mut Pen, left: &[Frame], right: &[Frame], frame_width: f64) {
    for from in left {
        for to in right {
            let start = (from.at.0 + frame_width, from.at.1 + from.height / 2.0);
            let end = (to.at.0 - 2.0, to.at.1 + to.height / 2.0);
            let bend = (start.0 + end.0) / 2.0;
            let class = if from.who == Who::Forged { "arrow forged" } else { "arrow" };
            let path = format!(
                "M{:.1} {:.1}C{bend:.1} {:.1} {bend:.1} {:.1} {:.1} {:.1}",
                start.0,
                start.1,
                start.1,
                end.1,
                end.0 - 7.0,
                end.1
            );
            pen.path(class, &path, None);
            let head = format!("M{:.1} {:.1}l-9 -4.5v9z", end.0, end.1);
            pen.path("arrow-head", &head, None);
            let label = act(from.who, to.who);
            pen.text("arrow-label", (bend, (start.1 + end.1) / 2.0 - 7.0), Anchor::Middle, label, None);
        }
    }
}

fn draw(pen: &mut Pen, frame: &Frame, frame_width: f64) {
    let (role, class) = match frame.who {
        Who::Forged => ("unknown", "frame forged"),
        Who::As(role) => (role.as_str(), if role == Role::Infected { "frame infected" } else { "frame" }),
    };
    pen.rect(class, frame.at, (frame_width, frame.height), 4.0, None);
    let (x, y) = (frame.at.0 + 10.0, frame.at.1);
    pen.text("frame-role", (x, y + 20.0), Anchor::Start, role, None);
    let most = letters_in((frame_width - 20.0) / 1.1);
    let mut at = y + HEAD + 14.0;
    for (name, tip) in &frame.names {
        pen.text("frame-name", (x, at), Anchor::Start, &shortened(name, most), Some(tip));
        at += ROW;
    }
    if frame.more > 0 {
        let more = format!("and {} more", words::count(frame.more as u64));
        pen.text("frame-more", (x, at), Anchor::Start, &more, None);
    }
}

/// A long name loses its middle, because addresses differ at their ends.
fn shortened(name: &str, most: usize) -> String {
    let name = clipped(name, 200);
    let letters: Vec<char> = name.chars().collect();
    if letters.len() <= most {
        return name;
    }
    let keep = most.saturating_sub(1);
    let head: String = letters.iter().take(keep.div_ceil(2)).collect();
    let tail: String = letters.iter().skip(letters.len() - keep / 2).collect();
    format!("{head}…{tail}")
}

fn describe(columns: &[Vec<Frame>]) -> String {
    let mut sentences = Vec::new();
    for pair in columns.windows(2) {
        let [left, right] = pair else { continue };
        for from in left {
            for to in right {
                sentences.push(format!("{} {} {}.", said(from), act(from.who, to.who), said(to)));
            }
        }
    }
    sentences.join(" ")
}

fn said(frame: &Frame) -> String {
    let names: Vec<&str> = frame.names.iter().map(|(name, _)| name.as_str()).collect();
    let role = match frame.who {
        Who::Forged => "unknown",
        Who::As(role) => role.as_str(),
    };
    let more = if frame.more > 0 { format!(" and {} more", frame.more) } else { String::new() };
    format!("{role} {}{more}", names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_lose_their_middle() {
        for (name, most, expected) in [
            ("10.0.0.1", 20, "10.0.0.1"),
            ("2001:db8:aaaa:bbbb:cccc::17", 13, "2001:d…ccc::17"),
            ("abc", 1, "…"),
        ] {
            let shown = shortened(name, most);
            assert!(shown.chars().count() <= most, "{shown}");
            if most == 13 {
                assert!(shown.starts_with("2001:d") && shown.ends_with("::17"), "{shown} {expected}");
            } else {
                assert_eq!(shown, expected);
            }
        }
    }
}
