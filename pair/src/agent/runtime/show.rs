//! How this server is, for keepalived, systemd and everybody else.

use super::Agent;
use crate::copying::{self, set_aside};
use crate::report::Report;
use crate::threads::lock;
use imagebuild_pair::{Config, Need, Node, Status};
use std::fs;
use std::os::unix::net::UnixDatagram;
use std::time::Instant;

impl Agent<'_> {
    /// For keepalived at once, for all others twice a second.
    pub(super) fn show(&mut self, status: Option<Status>) {
        let may_hold = self.member.may_hold_address();
        if self.address != Some(may_hold) {
            self.address = Some(may_hold);
            // keepalived: not 0 is a fault.
            let word = if may_hold { "0\n" } else { "1\n" };
            if let Err(error) = fs::write(self.settings.run.join("address-fault"), word) {
                self.say(format!("address-fault: {error}"));
                self.address = None;
            }
        }
        if self.member.knows_a_writer() {
            self.writer_seen = Some(Instant::now());
        }
        let now = (self.member.known(), self.member.need());
        let has_changed = self.shown != Some(now);
        let is_due = self.reported.is_none_or(|at| at.elapsed() > self.milliseconds(500));
        if !has_changed && !is_due {
            return;
        }
        self.reported = Some(Instant::now());
        let look = self.look.as_ref().map(|(look, _, _)| look);
        let data = self.settings.database.as_ref().map(|database| &database.data);
        let aside = data.map(|data| set_aside(data)).unwrap_or_default();
        let text = Report {
            settings: self.settings,
            member: &self.member,
            status,
            position: look.map_or("unknown".to_owned(), |look| look.position.clone()),
            lag: look.and_then(|look| look.lag),
            is_leaving: self.is_leaving || self.is_cut(),
            said: self.unanswered.as_ref().unwrap_or(&self.said),
            copies: self.copies,
            // A command that takes a moment is no reason to send readers away; who is late, or
            // cut off, locks them out by itself.
            reads: self.lets_read
                && !self.copies
                && self.answered_look.is_some_and(|at| at.elapsed() < self.milliseconds(2000)),
            // Not at once: readers do not have to leave while the role moves.
            writes: !self.is_cut()
                && self.writer_seen.is_some_and(|at| at.elapsed() < self.milliseconds(5000)),
            set_aside: aside.iter().map(|path| path.display().to_string()).collect(),
        }
        .text();
        if has_changed {
            self.shown = Some(now);
            self.announce(now);
            // The other one has everything again: what was acknowledged alone, too. Not by the word
            // of a register that was recovered: then this one may not be the primary any more.
            if let (Some(database), Some(config)) = (&self.settings.database, now.0) {
                if config.both && config.primary == self.own {
                    copying::unmark_alone(&database.data);
                }
            }
        }
        let new = self.settings.run.join("state.new");
        let written =
            fs::write(&new, &text).and_then(|()| fs::rename(&new, self.settings.run.join("state")));
        if let Err(error) = written {
            self.say(format!("state: {error}"));
        }
        *lock(&self.state) = (Instant::now(), text);
        alive();
    }

    fn announce(&self, (known, need): (Option<Config>, Option<Need>)) {
        let name = |node: Node| &self.settings.members[usize::from(node.0)].name;
        match known {
            Some(config) if config.both => {
                eprintln!("epoch {}: {} writes, both have it", config.epoch, name(config.primary));
            }
            Some(config) => {
                eprintln!("epoch {}: {} writes, alone", config.epoch, name(config.primary));
            }
            None => eprintln!("it is not known yet who writes"),
        }
        if let Some(need) = need {
            eprintln!("*** {need:?}");
        }
    }
}

/// Tells systemd that the agent does not hang (sd_notify(3)).
fn alive() {
    let Ok(path) = std::env::var("NOTIFY_SOCKET") else { return };
    if let Ok(socket) = UnixDatagram::unbound() {
        let _ = socket.send_to(b"WATCHDOG=1", path);
    }
}
