//! The impact on web clients, and who held which floating address: worked out from the records
//! of requests and from what was seen on the wire. Pure.

use super::outcome::{Hold, Impact, Request};

/// Adverts may be late or lost before a holder counts as gone: as many as keepalived waits
/// for, and its skew.
const ADVERTS_OF_PATIENCE: f64 = 4.0;

/// A machine claimed a floating address on the wire, or gave it up.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Claim {
    /// When.
    pub(super) at: f64,
    /// Who.
    pub(super) machine: String,
    /// Whether it gave it up.
    pub(super) is_end: bool,
}

/// The longest time without a good answer between `from` and `to`; a good answer counts
/// when it comes. Also how long ago the last one was when `to` is now.
pub(super) fn outage(requests: &[Request], from: f64, to: f64) -> f64 {
    let mut good: Vec<f64> =
        requests.iter().filter(|one| one.is_good()).map(|one| one.end).collect();
    good.sort_by(f64::total_cmp);
    // What was answered just before counts: an outage begins with the last answer.
    let before = good.iter().copied().rfind(|at| *at <= from);
    let within = good.iter().copied().filter(|at| *at > from && *at <= to);
    let moments: Vec<f64> =
        [before.unwrap_or(from)].into_iter().chain(within).chain([to]).collect();
    moments.windows(2).map(|pair| pair[1] - pair[0]).fold(0.0, f64::max)
}

/// What a step meant for web users.
pub(super) fn impact(requests: &[Request], from: f64, to: f64, advert: f64) -> Option<Impact> {
    let sent = |one: &&Request| one.at >= from && one.at < to;
    let count = requests.iter().filter(sent).count();
    if count == 0 {
        return None;
    }
    let outage = outage(requests, from, to);
    let failed = requests.iter().filter(sent).filter(|one| !one.is_good()).count();
    Some(Impact { outage, adverts: outage / advert, failed, requests: count, moved: None })
}

/// Who held an address when, from the claims in the order of time. Adverts go to the
/// other holder alone, so a holder whose peer is dead says nothing and still holds:
/// silence ends a hold only when somebody else has claimed the address in the meantime.
pub(super) fn holds(
    floating: &str,
    version: u8,
    claims: &[Claim],
    advert: f64,
    end: f64,
) -> Vec<Hold> {
    let patience = advert * ADVERTS_OF_PATIENCE;
    let mut done: Vec<Hold> = Vec::new();
    let mut machines: Vec<&str> = claims.iter().map(|claim| claim.machine.as_str()).collect();
    machines.sort_unstable();
    machines.dedup();
    for machine in machines {
        let others = |from: f64, to: f64| {
            let is_between =
                |c: &&Claim| c.machine != machine && !c.is_end && c.at > from && c.at < to;
            claims.iter().find(is_between).is_some()
        };
        let mut open: Option<Hold> = None;
        for claim in claims.iter().filter(|claim| claim.machine == machine) {
            let is_over = |hold: &Hold| claim.at - hold.to > patience && others(hold.to, claim.at);
            done.extend(open.take_if(|hold| is_over(hold)));
            match (&mut open, claim.is_end) {
                (Some(hold), _) => hold.to = claim.at,
                (None, true) => {}
                (None, false) => {
                    let (from, to) = (claim.at, claim.at);
                    let (floating, machine) = (floating.to_owned(), machine.to_owned());
                    open = Some(Hold { floating, version, machine, from, to });
                }
            }
            if claim.is_end {
                done.extend(open.take());
            }
        }
        done.extend(open.map(|hold| {
            let is_still_there = !others(hold.to, f64::INFINITY) || end - hold.to <= patience;
            Hold { to: if is_still_there { end } else { hold.to }, ..hold }
        }));
    }
    done.sort_by(|a, b| a.from.total_cmp(&b.from));
    done
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn request(at: f64, end: f64, is_good: bool) -> Request {
        Request {
            load: "x".to_owned(),
            number: 1,
            at,
            end,
            version: 4,
            server: is_good.then(|| "web1".to_owned()),
            failure: (!is_good).then(|| "timed out".to_owned()),
        }
    }

    #[test]
    fn the_outage_is_the_longest_time_without_a_good_answer() {
        let requests = [
            request(0.0, 1.0, true),
            request(1.0, 2.0, true),
            request(2.0, 4.0, false),
            request(3.0, 9.0, true),
            request(9.0, 10.0, true),
        ];
        assert_eq!(outage(&requests, 2.5, 10.0), 7.0);
        assert_eq!(outage(&requests, 9.5, 10.0), 1.0);
        // Nothing since the last answer: the outage goes on.
        assert_eq!(outage(&requests, 9.5, 30.0), 20.0);
        assert_eq!(outage(&[], 2.0, 5.0), 3.0);
    }

    #[test]
    fn the_impact_of_a_step_is_on_what_was_sent_in_it() {
        let requests = [request(0.0, 1.0, true), request(2.0, 4.0, false), request(5.0, 6.0, true)];
        let impact = impact(&requests, 1.5, 6.0, 2.5).unwrap();
        assert_eq!(
            (impact.failed, impact.requests, impact.outage, impact.adverts),
            (1, 2, 5.0, 2.0)
        );
        assert_eq!(super::impact(&requests, 10.0, 20.0, 1.0), None);
    }

    fn claim(at: f64, machine: &str, is_end: bool) -> Claim {
        Claim { at, machine: machine.to_owned(), is_end }
    }

    #[test]
    fn a_power_cut_ends_a_hold_with_its_last_advert() {
        let claims = [
            claim(0.0, "web1", false),
            claim(1.0, "web1", false),
            claim(4.5, "web2", false),
            claim(5.5, "web2", false),
        ];
        let holds = holds("web", 4, &claims, 1.0, 6.0);
        let spans: Vec<_> = holds.iter().map(|h| (h.machine.as_str(), h.from, h.to)).collect();
        assert_eq!(spans, [("web1", 0.0, 1.0), ("web2", 4.5, 6.0)]);
    }

    #[test]
    fn giving_up_ends_a_hold_at_once_and_two_may_hold() {
        let claims = [
            claim(0.0, "web1", false),
            claim(1.0, "web2", false),
            claim(2.0, "web1", true),
            claim(2.5, "web1", true),
            claim(3.0, "web2", false),
        ];
        let holds = holds("web", 6, &claims, 1.0, 3.0);
        let spans: Vec<_> = holds.iter().map(|h| (h.machine.as_str(), h.from, h.to)).collect();
        assert_eq!(spans, [("web1", 0.0, 2.0), ("web2", 1.0, 3.0)]);
    }

    #[test]
    fn a_holder_whose_peer_is_dead_is_silent_and_still_holds() {
        let claims =
            [claim(0.0, "web1", false), claim(30.0, "web1", false), claim(31.0, "web1", false)];
        let holds = holds("web", 4, &claims, 1.0, 60.0);
        assert_eq!(holds.len(), 1);
        assert_eq!((holds[0].from, holds[0].to), (0.0, 60.0));
    }

    proptest! {
        #[test]
        fn an_outage_is_never_longer_than_what_is_looked_at_and_before(
            ends in prop::collection::vec(0.0..100.0_f64, 0..20), from in 0.0..50.0_f64, more in 0.0..50.0_f64,
        ) {
            let requests: Vec<Request> = ends.iter().map(|end| request(0.0, *end, true)).collect();
            let outage = outage(&requests, from, from + more);
            prop_assert!(outage >= 0.0 && outage <= from + more);
        }
    }
}
