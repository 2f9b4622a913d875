//! The engine: shows each event to what must know it, and keeps the incidents current.

use crate::{
    control::Control,
    correlate::Correlator,
    credential::Credential,
    crowds,
    execution::Execution,
    findings::{Draft, Findings, Handle},
    foreign::Foreign,
    hosts::Hosts,
    impact::Impact,
    local::Local,
    recon::Recon,
    unlisted::{Roll, Unlisted},
    verdict::Verdicts,
};
use model::{Event, EventKind, Exception, Incident, NetSet, RecordRef, Tactic, Timestamp};

/// What is ours, and what was excepted.
#[derive(Clone, Debug)]
pub struct Config {
    /// Our networks.
    pub home: NetSet,
    /// What people said is no attack.
    pub exceptions: Vec<Exception>,
}

impl Default for Config {
    fn default() -> Self {
        Self { home: NetSet::private(), exceptions: Vec::new() }
    }
}

/// Figures about the engine itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Events taken.
    pub events: u64,
    /// Findings stated.
    pub findings: u64,
    /// Findings that a person's exception silenced.
    pub excepted: u64,
    /// Table entries forgotten and findings refused for lack of room.
    pub shed: u64,
}

/// What a detector works with.
pub(crate) struct Context<'a> {
    pub(crate) hosts: &'a Hosts,
    pub(crate) findings: &'a mut Findings,
    pub(crate) at: Timestamp,
    pub(crate) record: RecordRef,
}

impl Context<'_> {
    /// States a finding.
    pub(crate) fn state(&mut self, draft: Draft) -> Option<Handle> {
        let acting = || crowds::acting(&draft.parties);
        let proven = draft.stage == Tactic::Impact
            || acting().next().is_none()
            || acting().any(|party| self.hosts.is_there(party));
        self.findings.state(draft, proven)
    }
}

/// Events in, incidents out.
pub struct Engine {
    hosts: Hosts,
    findings: Findings,
    recon: Recon,
    credential: Credential,
    execution: Execution,
    control: Control,
    impact: Impact,
    local: Local,
    foreign: Foreign,
    unlisted: Unlisted,
    correlator: Correlator,
    events: u64,
    now: Timestamp,
}

impl Engine {
    /// An engine that has seen nothing. `sources` names the input of each [`RecordRef`].
    #[must_use]
    pub fn new(config: Config, sources: Vec<String>) -> Self {
        Self {
            hosts: Hosts::new(config.home),
            findings: Findings::new(),
            recon: Recon::new(),
            credential: Credential::new(),
            execution: Execution::new(),
            control: Control::new(),
            impact: Impact::new(),
            local: Local::new(),
            foreign: Foreign::new(),
            unlisted: Unlisted::new(),
            correlator: Correlator::new(sources, config.exceptions),
            events: 0,
            now: Timestamp::default(),
        }
    }

    /// Remembers for [`Engine::verdicts`] what stories said that are over.
    pub fn remember_verdicts(&mut self) {
        self.correlator.remember();
    }

    /// Takes one event.
    pub fn event(&mut self, event: &Event) {
        self.events += 1;
        self.now = self.now.max(event.at);
        self.hosts.event(event);
        let context = &mut Context {
            hosts: &self.hosts,
            findings: &mut self.findings,
            at: event.at,
            record: event.record,
        };
        match &event.kind {
            EventKind::Flow(flow) => {
                self.impact.flow(flow, context);
                // What floods somebody is told as a flood, not as a scan or a retry by each packet's source.
                let flooding = self.impact.is_flooding(flow);
                self.recon.flow(flow, flooding, context);
                self.control.flow(flow, flooding, context);
                self.credential.flow(flow, context);
                self.local.flow(flow);
                self.unlisted.flow(flow, context);
            }
            EventKind::Dns(dns) => self.impact.dns(dns, context),
            EventKind::Login(login) => self.credential.login(login, context),
            EventKind::Transfer(transfer) => self.execution.transfer(transfer, context),
            EventKind::Message(message) => self.control.message(message, context),
            EventKind::Request(request) => {
                self.impact.request(request, context);
                self.credential.request(request, context);
                self.execution.request(request, context);
            }
            EventKind::Arp(arp) => {
                self.local.arp(arp, context);
                self.recon.arp(arp, context);
            }
            EventKind::Dhcp(dhcp) => {
                self.local.dhcp(dhcp, context);
                self.unlisted.dhcp(dhcp, context);
            }
            EventKind::Alert(alert) => self.foreign.alert(alert, context),
            EventKind::Honeypot(honeypot) => self.foreign.honeypot(honeypot, context),
            EventKind::Hint(_) => {}
        }
        if self.findings.has_fresh() {
            self.correlator.take_in(&mut self.findings, &self.hosts);
        }
    }

    /// Event time goes on without events; what waited for time is decided.
    pub fn advance(&mut self, now: Timestamp) {
        self.now = self.now.max(now);
        let context = &mut Context {
            hosts: &self.hosts,
            findings: &mut self.findings,
            at: self.now,
            record: RecordRef::default(),
        };
        self.local.advance(context);
        self.correlator.take_in(&mut self.findings, &self.hosts);
        self.correlator.retire(self.now, &mut self.findings, &self.hosts);
    }

    /// The clock was set back: what was measured against it begins anew. What was found stays.
    pub fn begin_anew(&mut self) {
        self.recon = Recon::new();
        self.credential = Credential::new();
        self.execution = Execution::new();
        self.control = Control::new();
        self.impact = Impact::new();
        self.local = Local::new();
        self.foreign = Foreign::new();
        self.now = Timestamp::default();
    }

    /// The recording ended: what waited for time is decided by what was seen.
    pub fn finish(&mut self) {
        let end = self.now.plus_secs(60);
        let context = &mut Context {
            hosts: &self.hosts,
            findings: &mut self.findings,
            at: end,
            record: RecordRef::default(),
        };
        self.local.advance(context);
    }

    /// Incidents that are new or changed noticeably since the last call, worst first.
    pub fn take_changed(&mut self) -> Vec<Incident> {
        self.correlator.take_in(&mut self.findings, &self.hosts);
        self.findings.write();
        self.correlator.take_changed(&self.findings, &self.hosts)
    }

    /// All incidents as they stand, worst first.
    pub fn incidents(&mut self) -> Vec<Incident> {
        self.correlator.take_in(&mut self.findings, &self.hosts);
        self.findings.write();
        self.correlator.incidents(&self.findings, &self.hosts)
    }

    /// What each flow comes to in the light of the incidents; to be asked at the end.
    #[must_use]
    pub fn verdicts(&mut self) -> Verdicts {
        self.correlator.take_in(&mut self.findings, &self.hosts);
        self.correlator.verdicts(&self.findings, &self.hosts)
    }

    /// Replaces what people excepted; holds for findings from now on.
    pub fn set_exceptions(&mut self, exceptions: Vec<Exception>) {
        self.correlator.set_exceptions(exceptions);
    }

    /// Which networks are watched for unknown devices, and which devices are known, from now on.
    pub fn set_roll(&mut self, roll: Roll) {
        self.unlisted.set_roll(roll);
    }

    /// Figures about the engine itself.
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats {
            events: self.events,
            findings: self.findings.stated(),
            excepted: self.correlator.excepted(),
            shed: self.findings.refused()
                + self.correlator.shed()
                + self.hosts.forgotten()
                + self.recon.forgotten()
                + self.credential.forgotten()
                + self.execution.forgotten()
                + self.control.forgotten()
                + self.local.forgotten()
                + self.foreign.forgotten()
                + self.unlisted.forgotten()
                + self.impact.forgotten(),
        }
    }
}
