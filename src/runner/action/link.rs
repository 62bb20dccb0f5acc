//! `link-down`, `link-up`, `disconnect`, `reconnect`, `impair`, `clear-impairment`.

use super::{ActionRunner, perform};
use crate::error::Result;
use crate::netsim::{self, Impairment};
use crate::scenario::action::{OnInterface, OnLink};
use crate::scenario::{Direction, Name};
use std::time::Duration;

perform! {
    LinkDown: |one, runner| set_carrier(runner, &one.0, false);
    LinkUp: |one, runner| set_carrier(runner, &one.0, true);
    Disconnect: |one, runner| on_link(runner, &one.0, Impairment::disconnected());
    Reconnect: |one, runner| on_link(runner, &one.0, Impairment::none());
    ClearImpairment: |one, runner| on_link(runner, &one.0, Impairment::none());
    Impair: |one, runner| {
        let impairment = Impairment {
            disconnected: false,
            loss: one.loss.map_or(0.0, |share| share.get()),
            duplicate: one.duplicate.map_or(0.0, |share| share.get()),
            delay: one.delay.map_or(Duration::ZERO, |time| Duration::from_secs_f64(time.get())),
            rate: one.bits_per_second,
        };
        impair(runner, &one.of, &one.network, one.direction, impairment)
    };
}

fn set_carrier(runner: &mut ActionRunner<'_, '_>, one: &OnInterface, up: bool) -> Result<()> {
    let interface = runner.cluster.interface(one.network.get_ref())?;
    runner.machine(&one.of)?.set_link_and_wait(interface, up)
}

fn on_link(runner: &ActionRunner<'_, '_>, link: &OnLink, impairment: Impairment) -> Result<()> {
    impair(runner, &link.of, &link.network, link.direction, impairment)
}

fn impair(
    runner: &ActionRunner<'_, '_>,
    of: &Name,
    network: &Name,
    direction: Direction,
    impairment: Impairment,
) -> Result<()> {
    let direction = match direction {
        Direction::In => netsim::Direction::ToMachine,
        Direction::Out => netsim::Direction::FromMachine,
        Direction::Both => netsim::Direction::Both,
    };
    let machine = runner.aliases.machine(of.get_ref());
    runner.cluster.segment(network.get_ref())?.impair(machine, direction, impairment)
}
