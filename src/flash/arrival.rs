//! Whether a machine that was restarted is the server that its disk was written for: it has
//! the host key of the seed, and says that it runs the image.

use crate::error::{Error, Result};
use crate::exec::{self, Output, Program};
use crate::progress::{self, Status};
use crate::remote::{self, Login};
use std::path::Path;
use std::time::{Duration, Instant};

/// What the key is known by.
const ALIAS: &str = "imagebuild-server";
/// Until it is given up: firmware of large machines takes minutes.
const PATIENCE: Duration = Duration::from_secs(15 * 60);
/// Until a machine that was told to restart has stopped answering.
const GOING: Duration = Duration::from_secs(60);
/// Between two attempts.
const PAUSE: Duration = Duration::from_secs(3);

/// The server that is waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrival {
    /// Where it answers SSH, and who logs in.
    pub login: Login,
    /// The public half of its host key: `ssh-ed25519 AAAA...`.
    pub host_key: String,
    /// IMAGE_ID of its os-release.
    pub image: String,
    /// IMAGE_VERSION of its os-release.
    pub version: String,
}

/// What an attempt to log in tells.
#[derive(Debug, PartialEq, Eq)]
enum Told {
    /// It is the server, and runs the image.
    Arrived,
    /// It has the key; its user could not log in to ask for more.
    HasKey,
    /// It has the key, and runs something else.
    Other(String),
    /// Nobody answers, or another system.
    NotYet(String),
}

/// Waits until the server answers.
///
/// # Errors
/// When it runs another image, or nobody answers in time.
pub(super) fn wait(arrival: &Arrival, before: &str) -> Result<()> {
    let known = remote::known_hosts(ALIAS, std::slice::from_ref(&arrival.host_key))?;
    let known = known.as_ref().map(tempfile::NamedTempFile::path);
    let program = ssh(arrival, known);
    let (start, status) = (Instant::now(), Status::new());
    let (name, host) = (&arrival.image, host_name(&arrival.login));
    // Whoever is let in nowhere cannot ask for the boot: a machine that restarts was gone.
    let mut was_gone = false;
    loop {
        let why = match told(&program.output()?, arrival, &host, before) {
            Told::Arrived => {
                progress::step("Arrived", format!("{name} answers, with its seed and its image"));
                return Ok(());
            }
            Told::HasKey if !was_gone && start.elapsed() < GOING => {
                "it has not restarted yet".to_owned()
            }
            Told::HasKey => {
                progress::step("Arrived", format!("{name} answers, with its seed's host key"));
                progress::warn(format!(
                    "{} could not log in there to ask which image runs",
                    arrival.login
                ));
                return Ok(());
            }
            Told::Other(image) => {
                return Err(Error::check(format!("the machine runs {image}, not {name}"))
                    .hint("another disk may be the first in its boot order"));
            }
            Told::NotYet(why) => {
                was_gone = true;
                why
            }
        };
        if start.elapsed() > PATIENCE {
            return Err(Error::build(format!(
                "{name} does not answer at {} after {} minutes",
                arrival.login,
                PATIENCE.as_secs() / 60
            ))
            .detail(why)
            .hint("its disk is written and read back; look at its console"));
        }
        status.show_now(|| format!("waiting for {name}: {why}"));
        std::thread::sleep(PAUSE);
        if exec::interrupted() {
            return Err(exec::interruption());
        }
    }
}

fn ssh(arrival: &Arrival, known_hosts: Option<&Path>) -> Program {
    let login = &arrival.login;
    let mut program = remote::ssh(login, known_hosts.map(|file| (ALIAS, file)));
    // It is tried often: nobody is asked for anything.
    for option in ["BatchMode=yes", "ConnectTimeout=10", "ServerAliveInterval=10"] {
        program = program.args(["-o", option]);
    }
    program = program.envs(std::env::vars_os()).quiet();
    program.args([
        "--",
        &login.host,
        "cat /etc/os-release; echo; cat /proc/sys/kernel/random/boot_id",
    ])
}

/// The host's name as the user's own configuration has it, which is how ssh speaks of it.
fn host_name(login: &Login) -> String {
    let asked = Program::new("ssh").args(["-G", "--", &login.host]);
    let output = asked.envs(std::env::vars_os()).quiet().output();
    let text = output.map(|output| output.stdout).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let name = text.lines().find_map(|line| line.strip_prefix("hostname "));
    name.unwrap_or(&login.host).to_owned()
}

/// `host` is what ssh calls it, `before` the boot of the machine that was restarted.
fn told(output: &Output, arrival: &Arrival, host: &str, before: &str) -> Told {
    let said = remote::printable(&output.stderr);
    if output.code == 0 {
        let text = remote::printable(&output.stdout);
        if !before.is_empty() && text.lines().any(|line| line == before) {
            return Told::NotYet("it has not restarted yet".to_owned());
        }
        let value = |key: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
            line.map_or("", |value| value.trim_matches('"')).to_owned()
        };
        let (image, version) = (value("IMAGE_ID"), value("IMAGE_VERSION"));
        if image == arrival.image && version == arrival.version {
            return Told::Arrived;
        }
        return Told::Other(match image.as_str() {
            "" => "a system that is no image of ours".to_owned(),
            image => format!("{image}, version {version}"),
        });
    }
    // The key is checked before anybody logs in. A jump host would say it of itself.
    let user = arrival.login.user.as_deref().unwrap_or_default();
    let denied = format!("{user}@{host}: Permission denied (");
    if said.lines().any(|line| line.starts_with(&denied)) {
        return Told::HasKey;
    }
    if said.contains("Host key verification failed") {
        return Told::NotYet("another system answers, with another host key".to_owned());
    }
    let last = said.lines().map(str::trim).rfind(|line| !line.is_empty());
    Told::NotYet(last.unwrap_or("ssh says nothing").to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ssh_says_is_told_apart() {
        let login = Login { user: Some("admin".to_owned()), host: "h".to_owned(), port: Some(22) };
        let (image, version) = ("arch4-web1".to_owned(), "7".to_owned());
        let arrival = Arrival { login, host_key: "ssh-ed25519 AAAA".to_owned(), image, version };
        let ask = |code: i32, stdout: &str, stderr: &str| {
            let (stdout, stderr) = (stdout.into(), stderr.into());
            told(&Output { code, stdout, stderr }, &arrival, "h", "1-2")
        };
        let release = "ID=debian\nIMAGE_ID=\"arch4-web1\"\nIMAGE_VERSION=\"7\"\n";
        assert_eq!(ask(0, release, ""), Told::Arrived);
        let other = release.replace("\"7\"", "\"6\"");
        assert_eq!(ask(0, &other, ""), Told::Other("arch4-web1, version 6".to_owned()));
        let foreign = Told::Other("a system that is no image of ours".to_owned());
        assert_eq!(ask(0, "ID=debian\n", ""), foreign);
        assert_eq!(ask(255, "", "admin@h: Permission denied (publickey).\n"), Told::HasKey);
        let old = Told::NotYet("it has not restarted yet".to_owned());
        assert_eq!(ask(0, &format!("{release}\n1-2\n"), ""), old);
        let jump = ask(255, "", "me@jump: Permission denied (publickey).\n");
        assert!(matches!(jump, Told::NotYet(_)));
        let refused = "ssh: connect to host h port 22: Connection refused";
        assert_eq!(ask(255, "", &format!("{refused}\r\n")), Told::NotYet(refused.to_owned()));
        let rescue = ask(255, "", "No ED25519 host key is known\nHost key verification failed.\n");
        assert!(matches!(rescue, Told::NotYet(why) if why.starts_with("another system")));
    }
}
