//! The watching thread: packets and log lines in, notices out.
//!
//! Guarantees: one thread reads all rings and files and owns the analysis, so that the kernel's rings are the only
//! queue in front of it; an incident is on its way to the responder within [`LOOK_EVERY`] of the packet that made it
//! one. It never spins: it sleeps until a ring has packets or something is due. After a panic the analysis begins
//! anew and the rings stay open; the packet or line that it choked on is not taken again.

use crate::{
    Notice, Stats,
    analysis::Analysis,
    clock,
    feed::Feed,
    follow::Follower,
    lanes::{HOLD, Lanes, Paused},
    outbox::Outbox,
    position::Positions,
    responding::Wishes,
    supervise::{Health, supervise},
};
use identify::Listed;
use model::Timestamp;
use std::{thread, time::Duration};

/// Packets between looks at the clock.
const PACKETS_AT_ONCE: usize = 2048;
/// Bytes of each log between looks at the packets.
const LOG_BYTES_AT_ONCE: usize = 512 << 10;
/// How often changed incidents are looked for.
const LOOK_EVERY: Duration = Duration::from_millis(20);
const ADVANCE_EVERY: Duration = Duration::from_millis(100);
const FOLLOW_EVERY: Duration = Duration::from_millis(100);
const SECOND: Duration = Duration::from_secs(1);
/// How often the place in followed files is written down.
pub(crate) const REMEMBER_EVERY: Duration = Duration::from_secs(5);

/// The watching thread's state.
pub(crate) struct Watch<'a> {
    pub(crate) lanes: Lanes,
    pub(crate) followers: Vec<Follower>,
    pub(crate) positions: Positions,
    pub(crate) analysis: Analysis,
    pub(crate) feed: Feed,
    pub(crate) outbox: Outbox,
    pub(crate) wishes: &'a Wishes,
    pub(crate) health: &'a Health,
    pub(crate) since: Timestamp,
}

/// When each thing is done next.
struct Due {
    look: Timestamp,
    advance: Timestamp,
    follow: Timestamp,
    second: Timestamp,
    remember: Timestamp,
}

impl Due {
    /// Whether it is time; if so the next time is `every` later.
    fn is_time(due: &mut Timestamp, now: Timestamp, every: Duration) -> bool {
        let every = every.as_micros() as i64;
        // The clock may have been set back: nothing is further away than its interval.
        let is_time = now >= *due || due.micros_since(now) > every;
        if is_time {
            *due = now.plus_micros(every);
        }
        is_time
    }

    /// How long nothing is due.
    fn rest(&self, now: Timestamp) -> Duration {
        let next = [self.look, self.advance, self.follow, self.second].into_iter().min().unwrap_or(now);
        Duration::from_micros(next.micros_since(now).clamp(1_000, 100_000) as u64)
    }
}

impl Watch<'_> {
    /// Until the sensor is stopped.
    pub(crate) fn run(&mut self) {
        let health = self.health;
        supervise("watching", health, self, Self::watch, |this| {
            this.analysis.begin_anew();
            this.tell_stats(clock::now(), 0);
        });
        self.remember();
        self.outbox.flush();
    }

    fn watch(&mut self) -> Result<(), String> {
        let start = clock::now();
        let mut due = Due { look: start, advance: start, follow: start, second: start, remember: start };
        let mut advanced = start;
        let mut more_lines = false;
        while !self.health.is_stopping() {
            let now = clock::now();
            let (paused, reached) = self.read_packets(now);
            if more_lines || Due::is_time(&mut due.follow, now, FOLLOW_EVERY) {
                more_lines = self.read_logs(now);
            }
            if Due::is_time(&mut due.advance, now, ADVANCE_EVERY) {
                // Event time must not overtake what still waits in the rings.
                let drained = now.plus_micros(-2 * HOLD.as_micros() as i64);
                let to =
                    if paused == Paused::Budget { reached.unwrap_or(drained).min(drained) } else { drained };
                self.analysis.advance(to, now.micros_since(advanced), &mut self.feed);
                advanced = now;
                self.take_wishes();
            }
            if Due::is_time(&mut due.look, now, LOOK_EVERY) {
                self.tell_changes();
            }
            if Due::is_time(&mut due.second, now, SECOND) {
                self.lanes.refresh();
                let behind = match paused {
                    Paused::Budget => reached.map_or(0, |reached| now.micros_since(reached) / 1_000),
                    _ => 0,
                };
                self.tell_stats(now, behind.max(0) as u64);
            }
            if Due::is_time(&mut due.remember, now, REMEMBER_EVERY) {
                self.remember();
            }
            if !more_lines {
                self.rest(paused, due.rest(now))
                    .map_err(|error| format!("cannot wait for packets: {error}"))?;
            }
        }
        Ok(())
    }

    /// Reads what is due; the time of the last packet goes with why reading paused.
    fn read_packets(&mut self, now: Timestamp) -> (Paused, Option<Timestamp>) {
        let Self { lanes, analysis, feed, .. } = self;
        let mut reached = None;
        let paused = lanes.read(now, PACKETS_AT_ONCE, |packet| {
            reached = Some(packet.at);
            if !packet.copy {
                analysis.packet(&packet, feed);
            }
            Analysis::glance(&packet, feed);
        });
        (paused, reached)
    }

    /// Reads on in the followed files. Returns whether one has more at once.
    fn read_logs(&mut self, now: Timestamp) -> bool {
        let Self { followers, analysis, feed, .. } = self;
        let mut more = false;
        for follower in followers {
            let newest = follower.last_event().unwrap_or_default();
            more |=
                follower.poll(LOG_BYTES_AT_ONCE, &mut |event| analysis.log_event(&event, newest, now, feed));
        }
        more
    }

    fn tell_changes(&mut self) {
        if let Some(changes) = self.analysis.changes() {
            for observed in changes.assets {
                self.feed.asset(self.analysis.declared(&observed.asset));
                self.outbox.tell(Notice::Asset(Box::new(observed)));
            }
            for incident in changes.living {
                self.feed.incident(incident.clone());
                self.outbox.tell(Notice::Incident(Box::new(incident)));
            }
            for incident in changes.past {
                self.outbox.tell(Notice::Incident(Box::new(incident)));
            }
        }
        self.feed.flush();
        self.outbox.flush();
    }

    fn take_wishes(&mut self) {
        if let Some(exceptions) = self.wishes.exceptions() {
            self.analysis.set_exceptions(exceptions);
        }
        let known = self.wishes.known().map(|known| self.analysis.set_listed(Listed::new(known)));
        if self.wishes.all_assets() || known.is_some() {
            let Self { analysis, feed, .. } = self;
            analysis.assets().for_each(|asset| feed.asset(asset));
        }
    }

    fn rest(&self, paused: Paused, at_most: Duration) -> std::io::Result<()> {
        match paused {
            Paused::Budget => Ok(()),
            // Waiting on the rings would return at once: what is held is still in them.
            Paused::Held => {
                thread::sleep(at_most.min(HOLD / 5));
                Ok(())
            }
            Paused::Drained => self.lanes.wait(at_most).map(|_in_trouble| ()),
        }
    }

    fn remember(&mut self) {
        let mut changed = false;
        for follower in &self.followers {
            if let Some(position) = follower.position() {
                changed |= self.positions.set(follower.path(), position);
            }
        }
        if changed && let Err(error) = self.positions.save() {
            tracing::warn!(%error, "where following stands cannot be written down");
        }
    }

    fn tell_stats(&mut self, now: Timestamp, behind_millis: u64) {
        let figures = self.analysis.figures();
        let interfaces = self.lanes.stats();
        let follows: Vec<_> = self.followers.iter().map(Follower::stats).collect();
        let mut shed = figures.shed;
        shed.insert("notices".to_owned(), self.outbox.shed());
        shed.insert("for responding".to_owned(), self.feed.shed());
        shed.insert("plans".to_owned(), self.wishes.plans_given_up());
        shed.retain(|_, count| *count > 0);
        let queued = [("notices", self.outbox.waiting()), ("for responding", self.feed.waiting())];
        self.outbox.tell(Notice::Stats(Box::new(Stats {
            at: now,
            since: self.since,
            packets: self.lanes.packets(),
            bytes: self.lanes.bytes(),
            dropped: interfaces.iter().map(|interface| interface.dropped).sum(),
            duplicates: self.lanes.duplicates(),
            excluded: figures.excluded,
            skipped: figures.skipped,
            lines: follows.iter().map(|follow| follow.lines).sum(),
            bad_lines: follows.iter().map(|follow| follow.bad_lines).sum(),
            events: figures.events,
            flows: figures.flows,
            findings: figures.findings,
            incidents: figures.incidents,
            assets: figures.assets,
            shed,
            queued: queued.map(|(queue, length)| (queue.to_owned(), length)).into(),
            behind_millis,
            last_packet: interfaces.iter().filter_map(|interface| interface.last_packet).max(),
            interfaces,
            follows,
            restarts: self.health.restarts(),
            last_fault: self.health.last_fault(),
        })));
    }
}
