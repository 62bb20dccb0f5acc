//! `imagebuild test --interactive`: the topology stays up, and a person does to it at a
//! prompt what scenarios do, with the same words, while a browser looks at the website.

mod command;
mod forward;
mod prompt;

use super::action::ActionRunner;
use super::clock::Clock;
use super::cluster::Cluster;
use super::loads::Loads;
use crate::error::{Error, Result};
use crate::exec;
use crate::scenario::{Aliases, Families, Url};
use command::Command;
use prompt::Prompt;
use std::collections::BTreeMap;
use std::time::Duration;

/// Native time for a command that a person types.
const COMMAND: Duration = Duration::from_secs(30);
/// Native time for an answer.
const ANSWER: Duration = Duration::from_secs(3);

impl Cluster<'_> {
    /// Reads commands until the person leaves; errors are shown, and the prompt is back.
    ///
    /// # Errors
    /// When the terminal cannot be read, for a signal.
    pub fn converse(&mut self) -> Result<()> {
        let mut prompt = Prompt::new(self.architecture)?;
        println!("{}", forward::HEAD);
        self.show_status()?;
        println!("`help` lists what can be said; `quit` ends the machines.");
        while let Some(line) = prompt.read("imagebuild> ")? {
            if exec::interrupted() {
                return Err(exec::interruption());
            }
            match Command::parse(&line, self.architecture) {
                Ok(None) => {}
                Ok(Some(Command::Quit)) => break,
                Ok(Some(command)) => {
                    self.carry_out(&command, &mut prompt).unwrap_or_else(|e| println!("{e}"));
                }
                Err(error) => println!("{error}"),
            }
            // Ctrl-C while it was done has ended the machines.
            if exec::interrupted() {
                return Err(exec::interruption());
            }
        }
        Ok(())
    }

    fn carry_out(&mut self, command: &Command, prompt: &mut Prompt) -> Result<()> {
        match command {
            Command::Help => println!("{}", command::HELP.trim_end()),
            Command::Status => return self.show_status(),
            Command::Quit => {}
            Command::Restore => {
                self.is_touched = true;
                return self.restore();
            }
            Command::Http(url) => return self.show(url),
            Command::Shell { machine, command: Some(command) } => {
                return self.show_command(machine, command);
            }
            Command::Shell { machine, command: None } => {
                println!("each line is run on {machine}; `exit` leads back");
                let name = format!("{machine}# ");
                while let Some(line) = prompt.read(&name)?.filter(|line| line.trim() != "exit") {
                    if !line.trim().is_empty() {
                        self.show_command(machine, &line).unwrap_or_else(|e| println!("{e}"));
                    }
                    if exec::interrupted() {
                        break;
                    }
                }
            }
            Command::Action(action) => {
                self.is_touched = true;
                self.mark(&action.to_string());
                let mut runner = ActionRunner {
                    clock: Clock::start(f64::from(self.time_scale)),
                    cluster: self,
                    aliases: &Aliases::default(),
                    specs: &BTreeMap::new(),
                    loads: &mut Loads::default(),
                };
                runner.perform(action)?;
                println!("done: {action}");
            }
        }
        Ok(())
    }

    fn show_command(&mut self, machine: &str, command: &str) -> Result<()> {
        let output = self.machine(machine)?.run(command, COMMAND)?;
        print!("{}", String::from_utf8_lossy(&output.stdout));
        eprint!("{}", String::from_utf8_lossy(&output.stderr));
        if output.code != 0 {
            println!("(ended with {})", output.code);
        }
        Ok(())
    }

    /// Every machine and every floating address, a line each.
    fn show_status(&mut self) -> Result<()> {
        for (name, machine) in &mut self.machines {
            let state = if machine.is_on() { machine.status()? } else { "off".to_owned() };
            println!("{name:<12} {state}");
        }
        let floating: Vec<String> = self.architecture.floating.keys().cloned().collect();
        for name in floating {
            for (address, holders) in self.holders_of(&name)? {
                let who = if holders.is_empty() { "nobody".to_owned() } else { holders.join(", ") };
                println!("{name:<12} {address} is held by {who}");
            }
        }
        Ok(())
    }

    /// What a web client gets, over both IP versions.
    fn show(&self, url: &Url) -> Result<()> {
        let aliases = Aliases::default();
        let (network, addresses) =
            super::addresses::of_host(self.architecture, &aliases, &url.host, Families::Both)?;
        let deadline = ANSWER.mul_f64(Clock::start(f64::from(self.time_scale)).time_scale());
        for (_, address) in addresses {
            let exchange = self.clients.ask(&network, &url.at(address), deadline)?;
            println!("{exchange}");
            let answer = exchange.result.as_ref().ok();
            answer.iter().for_each(|answer| println!("{}", answer.text().trim_end()));
        }
        Ok(())
    }

    /// Lets the user's own browser look at `url` while `then` goes on: a listener on the
    /// loopback, whose requests are made by the web clients.
    ///
    /// # Errors
    /// When the loopback has no port left, and those of `then`.
    pub fn with_forward(
        &mut self,
        url: &Url,
        then: impl FnOnce(&mut Self) -> Result<()>,
    ) -> Result<()> {
        let aliases = Aliases::default();
        let (network, addresses) =
            super::addresses::of_host(self.architecture, &aliases, &url.host, Families::V4)?;
        let (_, address) =
            addresses.first().ok_or_else(|| Error::input(format!("{url} has no address")))?;
        let segment = self.segment(&network)?;
        let forward = forward::Forward::open(self.architecture, segment, url.at(*address))?;
        println!("http://{}/ leads to {url}", forward.address());
        let done = then(self);
        forward.close();
        done
    }
}
