//! The devices while they are joined: sets of observations, and what of each is sure.

use super::{
    Contested, Device, Join, Known, MOST_KNOWN, MOST_SHARING, Merged, Observation, STRENGTHS, Said, Strength,
    strength,
};
use foldhash::fast::RandomState;
use hashbrown::{HashMap, HashSet};
use model::{Identifier, Timestamp};

/// First and last; `None` for always.
type During = Option<(Timestamp, Timestamp)>;

/// An identifier within the site where it means something; the empty one for what means the same everywhere.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Mark<'a> {
    by: &'a Identifier,
    site: &'a str,
}

impl<'a> Mark<'a> {
    fn of(by: &'a Identifier, site: &'a str) -> Self {
        let everywhere = match by {
            Identifier::Key(_) | Identifier::Serial(_) | Identifier::Uuid(_) => true,
            Identifier::Mac(mac) => !mac.is_local(),
            Identifier::DhcpClient(_) | Identifier::Name(_) | Identifier::Address(_) => false,
        };
        Self { by, site: if everywhere { "" } else { site } }
    }
}

/// What a set of observations surely has; as numbers of marks, sorted.
#[derive(Clone, Default)]
struct Sure {
    keys: Vec<u32>,
    serials: Vec<u32>,
    registered: Vec<u32>,
    made_up: Vec<u32>,
    clients: Vec<u32>,
    /// Of those that somebody named: which it has.
    named: Vec<u32>,
    seen: Option<(Timestamp, Timestamp)>,
}

/// Who has a mark: the observation, and when.
type Holders = Vec<(u32, During)>;

pub(super) struct Devices<'a> {
    /// Marks in their order, with who has them.
    marks: Vec<(Mark<'a>, Holders)>,
    /// The set that an observation belongs to, by its first; see [`Devices::root`].
    parents: Vec<u32>,
    /// What is sure of each set, at its first observation.
    sure: Vec<Sure>,
    /// Marks that somebody said are not of one device, both ways.
    apart: HashSet<(u32, u32), RandomState>,
    joins: Vec<(u32, Join)>,
    contested: Vec<Contested>,
    /// The observations in an order of their own: place by rank.
    order: Vec<u32>,
}

impl<'a> Devices<'a> {
    /// Every observation by itself. Ranks come from what observations say, so that the order given does not matter.
    pub(super) fn new(observations: &'a [Observation], said: &Said) -> Self {
        let sorted: Vec<Vec<(&Identifier, During)>> =
            observations.iter().map(|seen| surest(&seen.known)).collect();
        let mut order: Vec<u32> = (0..u32::try_from(observations.len()).unwrap_or(u32::MAX)).collect();
        let key = |at: u32| {
            let at = at as usize;
            (sorted.get(at), observations.get(at).map(|seen| seen.site.as_str()))
        };
        order.sort_by(|a, b| key(*a).cmp(&key(*b)).then(a.cmp(b)));
        let mut held: HashMap<Mark<'a>, Holders, RandomState> = HashMap::default();
        for (rank, at) in order.iter().enumerate() {
            let (Some(seen), Some(known)) = (observations.get(*at as usize), sorted.get(*at as usize)) else {
                continue;
            };
            for (by, during) in known {
                held.entry(Mark::of(by, &seen.site)).or_default().push((rank as u32, *during));
            }
        }
        let mut marks: Vec<(Mark<'a>, Holders)> = held.into_iter().collect();
        marks.sort_unstable_by_key(|(mark, _)| *mark);
        let mut devices = Self {
            parents: (0..order.len() as u32).collect(),
            sure: vec![Sure::default(); order.len()],
            apart: HashSet::default(),
            joins: Vec::new(),
            contested: Vec::new(),
            marks,
            order,
        };
        devices.note(said);
        devices
    }

    /// Notes at each observation what is sure of it.
    fn note(&mut self, said: &Said) {
        let named: HashSet<&Identifier, RandomState> =
            said.apart.iter().flat_map(|(one, other)| [one, other]).collect();
        for (number, (mark, holders)) in self.marks.iter().enumerate() {
            let number = number as u32;
            let is_named = named.contains(mark.by);
            for (rank, during) in holders {
                let Some(sure) = self.sure.get_mut(*rank as usize) else { continue };
                match mark.by {
                    Identifier::Key(_) => sure.keys.push(number),
                    Identifier::Serial(_) => sure.serials.push(number),
                    Identifier::Mac(mac) if mac.is_local() => sure.made_up.push(number),
                    Identifier::Mac(_) => sure.registered.push(number),
                    Identifier::DhcpClient(_) => sure.clients.push(number),
                    Identifier::Uuid(_) | Identifier::Name(_) | Identifier::Address(_) => {}
                }
                if is_named {
                    sure.named.push(number);
                }
                sure.seen = hull(sure.seen, *during);
            }
        }
        for (one, other) in &said.apart {
            for a in self.numbers(one) {
                for b in self.numbers(other) {
                    self.apart.extend([(a, b), (b, a)]);
                }
            }
        }
    }

    /// The marks of an identifier, one for each site.
    fn numbers(&self, by: &Identifier) -> std::ops::Range<u32> {
        let from = self.marks.partition_point(|(mark, _)| mark.by < by);
        let to = self.marks.partition_point(|(mark, _)| mark.by <= by);
        from as u32..to as u32
    }

    /// Joins what people said is one.
    pub(super) fn join_said(&mut self, said: &Said) {
        for (one, other) in &said.same {
            let (ones, others) = (self.holders(one), self.holders(other));
            let (Some(first), false) = (ones.first().copied(), others.is_empty()) else { continue };
            for rank in ones.into_iter().chain(others) {
                let (a, b) = (self.root(first), self.root(rank));
                if a != b && !self.is_apart(a, b) {
                    let root = self.unite(a, b);
                    self.joins.push((root, Join { by: other.clone(), said: true, count: 2 }));
                }
            }
        }
    }

    /// Who has an identifier, at any site.
    fn holders(&self, by: &Identifier) -> Vec<u32> {
        let numbers = self.numbers(by);
        let marks = self.marks.get(numbers.start as usize..numbers.end as usize).unwrap_or_default();
        marks.iter().flat_map(|(_, holders)| holders).map(|(rank, _)| *rank).collect()
    }

    /// Joins what shares an identifier of this strength.
    pub(super) fn join(&mut self, level: Strength) {
        let marks = std::mem::take(&mut self.marks);
        for (mark, holders) in &marks {
            if holders.len() < 2 || strength(mark.by) != Some(level) {
                continue;
            }
            if level < Strength::Address {
                self.join_sets(mark.by, level, holders.iter().map(|(rank, _)| *rank).collect());
            } else {
                self.join_by_address(mark.by, holders);
            }
        }
        self.marks = marks;
    }

    /// An address joins those who had it at one time; then those of whom it is declared.
    fn join_by_address(&mut self, by: &Identifier, holders: &Holders) {
        let mut timed: Vec<(Timestamp, Timestamp, u32)> = holders
            .iter()
            .filter_map(|(rank, during)| during.map(|(first, last)| (first, last, *rank)))
            .collect();
        timed.sort_unstable();
        let mut together: Vec<u32> = Vec::new();
        let mut until = None;
        for (first, last, rank) in timed {
            if until.is_some_and(|until| first > until) {
                self.join_sets(by, Strength::Address, std::mem::take(&mut together));
            }
            together.push(rank);
            until = until.max(Some(last));
        }
        self.join_sets(by, Strength::Address, together);
        if holders.iter().any(|(_, during)| during.is_none()) {
            self.join_sets(by, Strength::Address, holders.iter().map(|(rank, _)| *rank).collect());
        }
    }

    /// Joins those of the sets that fit together.
    fn join_sets(&mut self, by: &Identifier, level: Strength, ranks: Vec<u32>) {
        let mut sets: Vec<u32> = ranks.into_iter().map(|rank| self.root(rank)).collect();
        sets.sort_unstable();
        sets.dedup();
        if sets.len() < 2 {
            return;
        }
        if level < Strength::Address && self.all_fit(level, &sets) {
            self.join_all(by, &sets);
            return;
        }
        let mut unjoined = sets.len() > MOST_SHARING;
        if !unjoined {
            let against: Vec<Vec<bool>> = sets
                .iter()
                .map(|a| sets.iter().map(|b| a != b && !self.fit(level, *a, *b)).collect())
                .collect();
            let conflict = against.iter().flatten().any(|against| *against);
            // Those against whom the same speaks are one; of whom nothing speaks against any, it stays open whose they
            // are, but a kept identifier joins them with each other.
            let mut left: Vec<usize> = (0..sets.len()).collect();
            while let Some(&first) = left.first() {
                let twin = |at: &usize| {
                    against.get(*at) == against.get(first)
                        && !against.get(first).and_then(|row| row.get(*at)).is_some_and(|against| *against)
                };
                let (twins, rest): (Vec<usize>, Vec<usize>) = left.into_iter().partition(twin);
                left = rest;
                let open = against.get(first).is_some_and(|row| row.iter().all(|against| !against));
                if !(conflict && open && level > Strength::Kept) {
                    let twins: Vec<u32> = twins.iter().filter_map(|at| sets.get(*at).copied()).collect();
                    self.join_all(by, &twins);
                }
            }
            unjoined = conflict;
        }
        if unjoined {
            let mut among: Vec<usize> = sets.iter().take(MOST_SHARING).map(|set| self.place(*set)).collect();
            among.sort_unstable();
            self.contested.push(Contested { by: by.clone(), among });
        }
    }

    fn join_all(&mut self, by: &Identifier, sets: &[u32]) {
        let Some((first, rest)) = sets.split_first() else { return };
        let mut root = self.root(*first);
        for set in rest {
            let other = self.root(*set);
            root = if other == root { root } else { self.unite(root, other) };
        }
        if !rest.is_empty() {
            self.joins.push((root, Join { by: by.clone(), said: false, count: sets.len() }));
        }
    }

    /// Whether nothing speaks against joining all of them; without looking at each pair, so that it may say no too often.
    fn all_fit(&self, level: Strength, sets: &[u32]) -> bool {
        let each = || sets.iter().filter_map(|set| self.sure.get(*set as usize));
        let mut all = Sure::default();
        let agree = each().all(|sure| {
            let agrees = agree(level, &all, sure) && sure.named.is_empty();
            all.absorb(sure);
            agrees
        });
        let mut times: Vec<(Timestamp, Timestamp)> =
            each().filter(|sure| !sure.is_bare()).filter_map(|sure| sure.seen).collect();
        times.sort_unstable();
        let one_by_one =
            || times.windows(2).all(|pair| matches!(pair, [(_, until), (from, _)] if until < from));
        agree && (level <= Strength::Hardware || one_by_one())
    }

    fn fit(&self, level: Strength, a: u32, b: u32) -> bool {
        let (Some(one), Some(other)) = (self.sure.get(a as usize), self.sure.get(b as usize)) else {
            return false;
        };
        fits(level, one, other) && !self.is_apart(a, b)
    }

    fn is_apart(&self, a: u32, b: u32) -> bool {
        let (Some(one), Some(other)) = (self.sure.get(a as usize), self.sure.get(b as usize)) else {
            return false;
        };
        one.named.iter().any(|a| other.named.iter().any(|b| self.apart.contains(&(*a, *b))))
    }

    /// The first observation of the set; the way to it is halved each time.
    fn root(&mut self, mut rank: u32) -> u32 {
        let parent = |parents: &[u32], rank: u32| parents.get(rank as usize).copied().unwrap_or(rank);
        loop {
            let above = parent(&self.parents, rank);
            if above == rank {
                return rank;
            }
            let top = parent(&self.parents, above);
            if let Some(entry) = self.parents.get_mut(rank as usize) {
                *entry = top;
            }
            rank = top;
        }
    }

    /// Makes two sets one, and gives it; the earlier leads.
    fn unite(&mut self, a: u32, b: u32) -> u32 {
        let (lead, other) = (a.min(b), a.max(b));
        if let Some(parent) = self.parents.get_mut(other as usize) {
            *parent = lead;
        }
        let taken = self.sure.get_mut(other as usize).map(std::mem::take).unwrap_or_default();
        if let Some(sure) = self.sure.get_mut(lead as usize) {
            sure.absorb(&taken);
        }
        lead
    }

    /// Where the observation of a rank was given.
    fn place(&self, rank: u32) -> usize {
        self.order.get(rank as usize).map_or(usize::MAX, |place| *place as usize)
    }

    pub(super) fn finish(mut self) -> Merged {
        let mut sets: HashMap<u32, Device, RandomState> = HashMap::default();
        for rank in 0..self.order.len() as u32 {
            let empty = || Device { observations: Vec::new(), joined: Vec::new() };
            let (root, place) = (self.root(rank), self.place(rank));
            sets.entry(root).or_insert_with(empty).observations.push(place);
        }
        for (rank, join) in std::mem::take(&mut self.joins) {
            if let Some(device) = sets.get_mut(&self.root(rank)) {
                device.joined.push(join);
            }
        }
        let mut devices: Vec<Device> = sets.into_values().collect();
        for device in &mut devices {
            device.observations.sort_unstable();
            device.joined.sort_by_key(|join| (!join.said, place_of(&join.by), join.clone()));
        }
        devices.sort_unstable_by_key(|device| device.observations.first().copied());
        self.contested.sort_unstable();
        Merged { devices, contested: self.contested }
    }
}

impl Sure {
    /// No hardware address is known.
    const fn is_bare(&self) -> bool {
        self.registered.is_empty() && self.made_up.is_empty()
    }

    fn absorb(&mut self, other: &Self) {
        for (own, theirs) in [
            (&mut self.keys, &other.keys),
            (&mut self.serials, &other.serials),
            (&mut self.registered, &other.registered),
            (&mut self.made_up, &other.made_up),
            (&mut self.clients, &other.clients),
            (&mut self.named, &other.named),
        ] {
            for mark in theirs {
                if let Err(at) = own.binary_search(mark) {
                    own.insert(at, *mark);
                }
            }
        }
        self.seen = hull(self.seen, other.seen);
    }
}

/// Whether nothing as sure as what they share, or surer, says that they are two.
fn fits(level: Strength, a: &Sure, b: &Sure) -> bool {
    let shares = |one: &[u32], other: &[u32]| one.iter().any(|mark| other.binary_search(mark).is_ok());
    let macs =
        a.is_bare() || b.is_bare() || shares(&a.registered, &b.registered) || shares(&a.made_up, &b.made_up);
    // What made up an address yesterday has another today; two at once are two, whatever they call themselves.
    let at_once = || a.seen.zip(b.seen).is_some_and(|(a, b)| a.0 <= b.1 && b.0 <= a.1);
    agree(level, a, b)
        && match level {
            Strength::Proof | Strength::Hardware => true,
            Strength::Kept | Strength::Name => macs || !at_once(),
            Strength::Address => macs,
        }
}

/// Whether what is sure of both is the same, as far as both have it.
fn agree(level: Strength, a: &Sure, b: &Sure) -> bool {
    let agree = |one: &[u32], other: &[u32]| {
        one.is_empty() || other.is_empty() || one.iter().any(|mark| other.binary_search(mark).is_ok())
    };
    agree(&a.keys, &b.keys)
        && agree(&a.serials, &b.serials)
        && (level <= Strength::Hardware || agree(&a.registered, &b.registered))
        && (level <= Strength::Kept || agree(&a.clients, &b.clients))
}

fn hull(a: During, b: During) -> During {
    match (a, b) {
        (Some(a), Some(b)) => Some((a.0.min(b.0), a.1.max(b.1))),
        (one, other) => one.or(other),
    }
}

/// The identifiers of an observation that identify, each once, the surest first.
fn surest(known: &[Known]) -> Vec<(&Identifier, During)> {
    let identifying = known.iter().filter(|known| strength(&known.by).is_some());
    let mut sorted: Vec<(&Identifier, During)> = identifying.map(|known| (&known.by, known.during)).collect();
    sorted.sort_unstable();
    sorted.dedup_by(|again, kept| {
        let same = again.0 == kept.0;
        if same {
            // What is declared holds at any time.
            kept.1 = kept.1.zip(again.1).map(|(a, b)| (a.0.min(b.0), a.1.max(b.1)));
        }
        same
    });
    sorted.truncate(MOST_KNOWN);
    sorted
}

/// Where an identifier stands in the order of strength.
fn place_of(by: &Identifier) -> usize {
    STRENGTHS.iter().position(|level| strength(by) == Some(*level)).unwrap_or(STRENGTHS.len())
}
