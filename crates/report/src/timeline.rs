//! Timelines: what happened when, from left to right in event time, one lane per stage or incident.
//!
//! Guarantees: bounded (marks that would touch are one mark with a count, lanes are capped by the caller), linear in
//! time, spans that nobody saw are hatched as gaps, and every mark is also in the table that stands beside the drawing.

use crate::{
    Act, Gap, clipped,
    svg::{Anchor, Pen, letters_in, width_of},
    words,
};
use model::{Incident, Severity, Timestamp};

const WIDTH: f64 = 960.0;
const LANE: f64 = 40.0;
const TOP: f64 = 12.0;
const AXIS: f64 = 44.0;
/// Marks nearer than this are drawn as one.
const TOUCHING: f64 = 11.0;
/// Incidents in the overview; more are said in words.
const MOST_LANES: usize = 12;

/// A drawing that can be asked for, with its lanes.
struct Timeline {
    name: String,
    title: String,
    gutter: f64,
    first: Timestamp,
    last: Timestamp,
    lanes: Vec<Lane>,
    gaps: Vec<Gap>,
}

struct Lane {
    label: String,
    tip: String,
    /// Class of bar and marks: a severity or `response`.
    class: &'static str,
    bar: Option<(Timestamp, Timestamp)>,
    marks: Vec<Mark>,
}

struct Mark {
    at: Timestamp,
    label: String,
}

/// When what happened in one incident: a lane per stage, then a lane of what was done about it.
///
/// `name` must be unique on the page.
#[must_use]
pub fn incident_timeline(name: &str, incident: &Incident, acts: &[Act], gaps: &[Gap]) -> String {
    let class = incident.severity.as_str();
    let whole = Lane {
        label: "Seen".into(),
        tip: "from the first to the last that was seen of it".into(),
        class,
        bar: Some((incident.first, incident.last)),
        marks: Vec::new(),
    };
    let stages = incident.stages.iter().map(|stage| {
        let marks: Vec<Mark> = incident
            .evidence
            .iter()
            .filter(|evidence| evidence.stage == *stage)
            .map(|evidence| Mark { at: evidence.at, label: evidence.detector.clone() })
            .collect();
        let bar = ends(marks.iter().map(|mark| mark.at));
        let tip = words::stage_means(*stage).to_owned();
        Lane { label: words::stage_title(*stage).to_owned(), tip, class, bar, marks }
    });
    let mut lanes: Vec<Lane> = std::iter::once(whole).chain(stages).collect();
    let done: Vec<Mark> = acts
        .iter()
        .filter(|act| act.incident.as_ref().is_none_or(|id| *id == incident.id))
        .map(|act| Mark { at: act.at, label: act.what.clone() })
        .collect();
    if !done.is_empty() {
        lanes.push(Lane {
            label: "Response".into(),
            tip: "what was done about it".into(),
            class: "response",
            bar: None,
            marks: done,
        });
    }
    let moments = lanes.iter().flat_map(|lane| lane.marks.iter().map(|mark| mark.at));
    let (first, last) = ends(moments.chain([incident.first, incident.last])).unwrap_or_default();
    let title = "When did what happen?".to_owned();
    Timeline { name: name.into(), title, gutter: 150.0, first, last, lanes, gaps: gaps.to_vec() }.draw()
}

/// When the incidents of a document were going on: a lane per incident, the worst first.
#[must_use]
pub fn incidents_timeline(
    name: &str,
    incidents: &[Incident],
    span: Option<(Timestamp, Timestamp)>,
    gaps: &[Gap],
) -> String {
    let lanes: Vec<Lane> = incidents
        .iter()
        .take(MOST_LANES)
        .map(|incident| Lane {
            label: format!("{} {}", incident.severity.shape(), incident.title),
            tip: incident.title.clone(),
            class: incident.severity.as_str(),
            bar: Some((incident.first, incident.last)),
            marks: Vec::new(),
        })
        .collect();
    let shown = incidents.iter().take(MOST_LANES).flat_map(|incident| [incident.first, incident.last]);
    let span = span.into_iter().flat_map(|(first, last)| [first, last]);
    let (first, last) = ends(shown.chain(span)).unwrap_or_default();
    let title = match incidents.len().saturating_sub(MOST_LANES) {
        0 => "When was each incident going on?".to_owned(),
        more => format!(
            "When were the {MOST_LANES} worst incidents going on? ({} more below)",
            words::count(more as u64)
        ),
    };
    Timeline { name: name.into(), title, gutter: 330.0, first, last, lanes, gaps: gaps.to_vec() }.draw()
}

fn ends(moments: impl Iterator<Item = Timestamp>) -> Option<(Timestamp, Timestamp)> {
    moments.fold(None, |ends, at| match ends {
        None => Some((at, at)),
        Some((first, last)) => Some((first.min(at), last.max(at))),
    })
}

impl Timeline {
    fn draw(self) -> String {
        let mut pen = Pen::new(WIDTH);
        let bottom = TOP + self.lanes.len() as f64 * LANE;
        self.axis(&mut pen, bottom);
        for (index, lane) in self.lanes.iter().enumerate() {
            self.lane(&mut pen, TOP + index as f64 * LANE, lane);
        }
        // Over the bars, so that nothing goes on where nobody looked; under the marks.
        self.gaps(&mut pen, bottom);
        for (index, lane) in self.lanes.iter().enumerate() {
            self.marks(&mut pen, TOP + index as f64 * LANE, lane);
        }
        let description = format!(
            "{}. {}. The table beside this drawing has the same.",
            words::between(self.first, self.last),
            words::counted(self.lanes.len() as u64, "lane", "lanes")
        );
        pen.finish(&self.name, "timeline", &self.title, &description, bottom + AXIS)
    }

    /// The span drawn, in microseconds; never zero.
    fn length(&self) -> f64 {
        (self.last.micros_since(self.first) as f64).max(1.0)
    }

    fn x(&self, at: Timestamp) -> f64 {
        let inset = 10.0;
        let room = WIDTH - self.gutter - 2.0 * inset;
        let share = (at.micros_since(self.first) as f64 / self.length()).clamp(0.0, 1.0);
        self.gutter + inset + share * room
    }

    fn gaps(&self, pen: &mut Pen, bottom: f64) {
        for gap in self.gaps.iter().filter(|gap| gap.to > self.first && gap.from < self.last).take(50) {
            let (from, to) = (self.x(gap.from), self.x(gap.to));
            let tip = format!("not seen, {}: {}", words::between(gap.from, gap.to), gap.why);
            pen.rect("gap", (from, TOP), (to - from, bottom - TOP), 0.0, Some(&tip));
            if to - from > width_of("not seen") {
                pen.text(
                    "gap-label",
                    ((from + to) / 2.0, bottom - 6.0),
                    Anchor::Middle,
                    "not seen",
                    Some(&tip),
                );
            }
        }
    }

    fn axis(&self, pen: &mut Pen, bottom: f64) {
        pen.line("axis", (self.gutter, bottom), (WIDTH, bottom));
        let step = step_of(self.last.micros_since(self.first), WIDTH - self.gutter);
        let mut at = self.first.micros().div_euclid(step).saturating_add(1).saturating_mul(step);
        let mut day = String::new();
        // The steps are chosen so that there are at most ten; the bound holds for any clock.
        for _ in 0..12 {
            let moment = Timestamp::from_micros(at);
            if moment > self.last || moment < self.first {
                break;
            }
            let x = self.x(moment);
            pen.line("tick", (x, TOP), (x, bottom + 5.0));
            let (label, below) = tick_label(moment, step);
            // At the right edge a label ends where the drawing does.
            let over = x + width_of(&label) / 2.0 > WIDTH;
            let (at_x, anchor) = if over { (WIDTH, Anchor::End) } else { (x, Anchor::Middle) };
            pen.text("tick-label", (at_x, bottom + 19.0), anchor, &label, None);
            if below != day {
                pen.text("tick-label", (x, bottom + 35.0), Anchor::Middle, &below, None);
                day = below;
            }
            at = at.saturating_add(step);
        }
        if day.is_empty() {
            // Shorter than any step: the moment itself.
            let x = self.x(self.first);
            pen.text("tick-label", (x, bottom + 19.0), Anchor::Start, &words::clock(self.first), None);
            pen.text("tick-label", (x, bottom + 35.0), Anchor::Start, &words::day(self.first), None);
        }
        pen.text("axis-label", (0.0, bottom + 19.0), Anchor::Start, "time, UTC", None);
    }

    fn lane(&self, pen: &mut Pen, top: f64, lane: &Lane) {
        let middle = top + LANE / 2.0;
        pen.line("lane", (0.0, top + LANE), (WIDTH, top + LANE));
        let (above, below) = two_lines(&lane.label, letters_in(self.gutter - 12.0));
        let drop = if below.is_empty() { 4.0 } else { -3.0 };
        pen.text("lane-label", (0.0, middle + drop), Anchor::Start, &above, Some(&lane.tip));
        if !below.is_empty() {
            pen.text("lane-label", (0.0, middle + drop + 15.0), Anchor::Start, &below, Some(&lane.tip));
        }
        if let Some((from, to)) = lane.bar.filter(|bar| !self.is_moment(lane, *bar)) {
            let (left, right) = (self.x(from), self.x(to));
            let tip = format!("{}: {}", lane.label, words::between(from, to));
            let class = format!("bar {}", lane.class);
            pen.rect(&class, (left - 4.0, middle - 4.0), (right - left + 8.0, 8.0), 4.0, Some(&tip));
            if lane.marks.is_empty() {
                self.beside_bar(pen, middle, left, right, &words::span(to.micros_since(from)));
            }
        }
        if lane.bar.is_none() && lane.marks.is_empty() {
            pen.text(
                "gap-label",
                (self.gutter + 10.0, middle + 4.0),
                Anchor::Start,
                "no record of its own",
                Some(&lane.tip),
            );
        }
    }

    /// Whether a bar is too short to be seen as one: it is drawn as a mark, which no gap covers.
    fn is_moment(&self, lane: &Lane, (from, to): (Timestamp, Timestamp)) -> bool {
        lane.marks.is_empty() && self.x(to) - self.x(from) < TOUCHING / 2.0
    }

    fn marks(&self, pen: &mut Pen, top: f64, lane: &Lane) {
        if let Some((from, to)) = lane.bar.filter(|bar| self.is_moment(lane, *bar)) {
            let (x, middle) = (self.x(from), top + LANE / 2.0);
            let tip = format!("{}: {}", lane.label, words::between(from, to));
            pen.path(&format!("mark {}", lane.class), &shape(lane.class, x, middle), Some(&tip));
            self.beside_bar(pen, middle, x, x + 4.0, &words::span(to.micros_since(from)));
        }
        let mut free = self.gutter;
        for cluster in self.clusters(&lane.marks) {
            free = self.mark(pen, top + LANE / 2.0, lane.class, &cluster, free);
        }
    }

    /// The length of a bar is written where there is room for it.
    fn beside_bar(&self, pen: &mut Pen, middle: f64, left: f64, right: f64, length: &str) {
        let wide = width_of(length) + 12.0;
        if right + wide < WIDTH {
            pen.text("mark-label", (right + 10.0, middle + 4.0), Anchor::Start, length, None);
        } else if left - wide > self.gutter {
            pen.text("mark-label", (left - 10.0, middle + 4.0), Anchor::End, length, None);
        } else {
            pen.text("mark-label", (right, middle - 8.0), Anchor::End, length, None);
        }
    }

    /// Marks that would touch, together.
    fn clusters<'a>(&self, marks: &'a [Mark]) -> Vec<Vec<&'a Mark>> {
        let mut sorted: Vec<&Mark> = marks.iter().collect();
        sorted.sort_by_key(|mark| mark.at);
        let mut clusters: Vec<Vec<&Mark>> = Vec::new();
        for mark in sorted {
            match clusters.last_mut() {
                Some(cluster)
                    if cluster.first().is_some_and(|first| self.x(mark.at) - self.x(first.at) < TOUCHING) =>
                {
                    cluster.push(mark);
                }
                _ => clusters.push(vec![mark]),
            }
        }
        clusters
    }

    /// Draws a cluster and labels it where there is room right of `free`; returns what is taken now.
    fn mark(&self, pen: &mut Pen, middle: f64, class: &str, cluster: &[&Mark], free: f64) -> f64 {
        let (Some(first), Some(last)) = (cluster.first(), cluster.last()) else { return free };
        let x = self.x(first.at);
        let mut names: Vec<&str> = Vec::new();
        for mark in cluster {
            if !names.contains(&mark.label.as_str()) && names.len() < 3 {
                names.push(&mark.label);
            }
        }
        let times = if cluster.len() > 1 {
            format!(" ×{}", words::count(cluster.len() as u64))
        } else {
            String::new()
        };
        let tip = format!("{}{times}, {}", names.join(", "), words::between(first.at, last.at));
        pen.path(&format!("mark {class}"), &shape(class, x, middle), Some(&tip));
        let name = clipped(names.first().copied().unwrap_or_default(), 34);
        let label = format!("{} {name}{times}", words::clock(first.at));
        let wide = width_of(&label);
        if x + 10.0 + wide <= WIDTH && x - 8.0 >= free {
            pen.text("mark-label", (x + 10.0, middle - 7.0), Anchor::Start, &label, Some(&tip));
            x + 10.0 + wide
        } else if x - 6.0 - wide >= free {
            pen.text("mark-label", (x - 6.0, middle - 7.0), Anchor::End, &label, Some(&tip));
            x + 8.0
        } else {
            free.max(x + 8.0)
        }
    }
}

/// The shape that stands for a severity, so that colour is never alone; a square is a response.
fn shape(class: &str, x: f64, y: f64) -> String {
    let severity = class.parse::<Severity>().ok();
    match severity {
        Some(Severity::Critical) => format!("M{:.1} {:.1}l6.5 6.5l-6.5 6.5l-6.5 -6.5z", x, y - 6.5),
        Some(Severity::High) => format!("M{:.1} {:.1}l6.5 11.5h-13z", x, y - 7.0),
        Some(_) => format!("M{:.1} {y:.1}a5.5 5.5 0 1 0 11 0a5.5 5.5 0 1 0 -11 0z", x - 5.5),
        None => format!("M{:.1} {:.1}h10v10h-10z", x - 5.0, y - 5.0),
    }
}

/// A label on one line or, broken at a blank, on two; only what does not fit on those is cut.
fn two_lines(label: &str, letters: usize) -> (String, String) {
    if label.chars().count() <= letters {
        return (clipped(label, letters), String::new());
    }
    let fits = label.char_indices().take(letters + 1);
    match fits.filter(|(_, letter)| *letter == ' ').last() {
        Some((at, _)) => {
            let (above, below) = label.split_at(at);
            (clipped(above, letters), clipped(below.trim_start(), letters))
        }
        None => (clipped(label, letters), String::new()),
    }
}

const SECOND: i64 = 1_000_000;

/// A round step that gives at most ten ticks, and fewer where days would not fit beside each other.
fn step_of(length: i64, room: f64) -> i64 {
    let round = [
        1_000,
        10_000,
        100_000,
        SECOND,
        2 * SECOND,
        5 * SECOND,
        10 * SECOND,
        30 * SECOND,
        60 * SECOND,
        120 * SECOND,
        300 * SECOND,
        600 * SECOND,
        1_800 * SECOND,
        3_600 * SECOND,
        7_200 * SECOND,
        14_400 * SECOND,
        43_200 * SECOND,
    ];
    let day = 86_400 * SECOND;
    let fits = |step: i64| length / step < 10;
    if let Some(step) = round.into_iter().find(|step| fits(*step)) {
        return step;
    }
    let most = (room / (width_of("2016-10-21") + 8.0)).floor().clamp(1.0, 10.0) as i64;
    let mut days = 1_i64;
    while length / day.saturating_mul(days) >= most && days < 10_000_000 {
        days = days.saturating_mul(2);
    }
    day.saturating_mul(days)
}

/// A tick's label, and the day below it.
fn tick_label(at: Timestamp, step: i64) -> (String, String) {
    let text = at.to_string();
    let part = |from: usize, count: usize| text.chars().skip(from).take(count).collect::<String>();
    let label = match step {
        ..SECOND => part(11, 12),
        SECOND..60_000_000 => part(11, 8),
        _ => part(11, 5),
    };
    if step >= 86_400 * SECOND { (part(0, 10), " ".into()) } else { (label, part(0, 10)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_labels_take_two_lines() {
        for (label, above, below) in [
            ("short", "short", ""),
            ("ten letter", "ten letter", ""),
            ("one two three four", "one two", "three four"),
            ("one two three four five", "one two", "three fou…"),
            ("unbreakable word", "unbreakab…", ""),
            ("", "", ""),
        ] {
            assert_eq!(two_lines(label, 10), (above.to_owned(), below.to_owned()), "{label}");
        }
    }

    #[test]
    fn ticks_are_round_and_few() {
        for (length, expected) in [
            (0, 1_000),
            (95 * SECOND, 10 * SECOND),
            (935 * SECOND, 120 * SECOND),
            (86_400 * SECOND, 14_400 * SECOND),
            (7 * 86_400 * SECOND, 86_400 * SECOND),
            (365 * 86_400 * SECOND, 64 * 86_400 * SECOND),
        ] {
            assert_eq!(step_of(length, 960.0), expected, "{length}");
        }
        assert!(i64::MAX / step_of(i64::MAX, 960.0) < 10);
        // Eight days fit beside each other in that room, and no ninth.
        assert_eq!(step_of(27 * 365 * 86_400 * SECOND, 610.0), 2048 * 86_400 * SECOND);
    }

    #[test]
    fn marks_that_would_touch_are_one() {
        let at = Timestamp::from_secs;
        let mark = |secs| Mark { at: at(secs), label: "x".into() };
        let timeline = Timeline {
            name: "t".into(),
            title: String::new(),
            gutter: 150.0,
            first: at(0),
            last: at(780),
            lanes: Vec::new(),
            gaps: Vec::new(),
        };
        let marks: Vec<Mark> = [0, 5, 9, 400, 401, 780].into_iter().map(mark).collect();
        let sizes: Vec<usize> = timeline.clusters(&marks).iter().map(Vec::len).collect();
        assert_eq!(sizes, [3, 2, 1]);
    }
}
