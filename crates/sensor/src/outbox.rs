//! Notices on their way out.
//!
//! Guarantees: telling never waits. What nobody has taken yet is kept up to a bound, where a later word on the
//! same subject takes the place of the earlier one; past the bound the least important goes first, counted.

use crate::Notice;
use std::{
    collections::VecDeque,
    sync::mpsc::{SyncSender, TrySendError},
};

/// The notices of one thread that wait for room in the channel.
pub(crate) struct Outbox {
    to: SyncSender<Notice>,
    waiting: VecDeque<Notice>,
    capacity: usize,
    shed: u64,
}

impl Outbox {
    pub(crate) const fn new(to: SyncSender<Notice>, capacity: usize) -> Self {
        Self { to, waiting: VecDeque::new(), capacity, shed: 0 }
    }

    /// Tells, now or as soon as there is room.
    pub(crate) fn tell(&mut self, notice: Notice) {
        let latest = self.waiting.iter_mut().rev().find(|earlier| is_about_same(&notice, earlier));
        match latest.filter(|earlier| replaces(&notice, earlier)) {
            Some(earlier) => *earlier = notice,
            None => self.waiting.push_back(notice),
        }
        self.flush();
        while self.waiting.len() > self.capacity {
            let least = self.waiting.iter().enumerate().min_by_key(|(_, notice)| weight(notice));
            let Some((at, _)) = least else { break };
            self.waiting.remove(at);
            self.shed += 1;
        }
    }

    /// Hands over what the channel has room for.
    pub(crate) fn flush(&mut self) {
        while let Some(notice) = self.waiting.pop_front() {
            match self.to.try_send(notice) {
                Ok(()) => {}
                Err(TrySendError::Full(notice)) => {
                    self.waiting.push_front(notice);
                    break;
                }
                // Nobody will ever listen: the sensor is about to be stopped.
                Err(TrySendError::Disconnected(_)) => self.waiting.clear(),
            }
        }
    }

    pub(crate) fn waiting(&self) -> u64 {
        self.waiting.len() as u64
    }

    pub(crate) const fn shed(&self) -> u64 {
        self.shed
    }
}

fn is_about_same(new: &Notice, earlier: &Notice) -> bool {
    match (new, earlier) {
        (Notice::Incident(new), Notice::Incident(earlier)) => new.id == earlier.id,
        (Notice::Asset(new), Notice::Asset(earlier)) => new.asset.id == earlier.asset.id,
        (Notice::Plan(new), Notice::Plan(earlier)) => new.id == earlier.id,
        (Notice::Receipt(new), Notice::Receipt(earlier)) => new.command == earlier.command,
        (Notice::Stats(_), Notice::Stats(_)) => true,
        _ => false,
    }
}

/// Whether the new notice says all that the earlier one about the same said, and more. That a plan was in force, or a
/// command applied, is a decision, which no later state says.
fn replaces(new: &Notice, earlier: &Notice) -> bool {
    match (new, earlier) {
        (Notice::Plan(new), Notice::Plan(earlier)) => new.status == earlier.status,
        (Notice::Receipt(new), Notice::Receipt(earlier)) => {
            std::mem::discriminant(&new.effect) == std::mem::discriminant(&earlier.effect)
        }
        _ => true,
    }
}

/// How much would be lost with it.
fn weight(notice: &Notice) -> u8 {
    match notice {
        Notice::Stats(_) => 0,
        Notice::Asset(_) => 1,
        Notice::Receipt(_) => 2,
        Notice::Incident(incident) => 3 + incident.severity as u8,
        Notice::Plan(_) => 8,
        Notice::Journal(_) => 9,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Stats;
    use model::{CommandId, ContentHasher, Effect, Receipt, Timestamp};
    use std::sync::mpsc::sync_channel;

    fn receipt(command: u8, packets_stopped: u64) -> Notice {
        Notice::Receipt(Receipt {
            command: CommandId::from_content(ContentHasher::new().part([command])),
            at: Timestamp::default(),
            effect: Effect::Applied,
            packets_stopped,
            packets_passed: 0,
            actuator: "test".into(),
        })
    }

    #[test]
    fn the_latest_word_on_each_subject_arrives_when_nobody_listens_for_a_while() {
        let (to, from) = sync_channel(1);
        let mut outbox = Outbox::new(to, 8);
        for round in 0..100 {
            outbox.tell(receipt(1, round));
            outbox.tell(receipt(2, round));
        }
        let mut heard = Vec::new();
        for _ in 0..4 {
            heard.extend(from.try_iter());
            outbox.flush();
        }
        assert_eq!(heard, [receipt(1, 0), receipt(2, 99), receipt(1, 99)]);
        assert_eq!((outbox.waiting(), outbox.shed()), (0, 0));
    }

    #[test]
    fn what_a_command_went_through_is_told_in_its_order() {
        let (to, from) = sync_channel(1);
        let mut outbox = Outbox::new(to, 8);
        outbox.tell(Notice::Stats(Box::default()));
        let came_to = |effect: &Effect, packets| match receipt(1, packets) {
            Notice::Receipt(receipt) => Notice::Receipt(Receipt { effect: effect.clone(), ..receipt }),
            other => other,
        };
        let story = [Effect::Applied, Effect::Effective, Effect::Undone, Effect::Applied];
        for effect in &story {
            (0..3).for_each(|packets| outbox.tell(came_to(effect, packets)));
        }
        let mut heard = Vec::new();
        for _ in 0..6 {
            heard.extend(from.try_iter());
            outbox.flush();
        }
        let last: Vec<Notice> = story.iter().map(|effect| came_to(effect, 2)).collect();
        assert_eq!(heard[1..], last);
    }

    #[test]
    fn past_the_bound_the_least_important_goes_and_is_counted() {
        let (to, from) = sync_channel(1);
        let mut outbox = Outbox::new(to, 3);
        outbox.tell(receipt(0, 0));
        outbox.tell(Notice::Stats(Box::default()));
        (1..=3).for_each(|command| outbox.tell(receipt(command, 0)));
        assert_eq!((outbox.waiting(), outbox.shed()), (3, 1));
        let mut heard = Vec::new();
        for _ in 0..4 {
            heard.extend(from.try_iter());
            outbox.flush();
        }
        assert!(!heard.contains(&Notice::Stats(Box::<Stats>::default())));
        assert_eq!(heard.len(), 4);
    }

    #[test]
    fn telling_a_listener_who_is_gone_is_no_trouble() {
        let (to, from) = sync_channel(1);
        drop(from);
        let mut outbox = Outbox::new(to, 3);
        (0..10).for_each(|command| outbox.tell(receipt(command, 0)));
        assert_eq!(outbox.waiting(), 0);
    }
}
