//! Whether a machine that was restarted is the server that its disk was written for: it has
//! the host key of the seed, and says that it runs the image.

use super::target::Login;
use crate::error::{Error, Result};
use crate::exec::{self, Output, Program};
use crate::progress::{self, Status};
use std::io::Write as _;
use std::time::{Duration, Instant};

/// What the key is known by.
const ALIAS: &str = "imagebuild-server";
/// Until it is given up: firmware of large machines takes minutes.
const PATIENCE: Duration = Duration::from_secs(15 * 60);
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
pub(super) fn wait(arrival: &Arrival) -> Result<()> {
    let failed = |e: std::io::Error| Error::build(format!("cannot write a host key: {e}"));
    let mut known = tempfile::NamedTempFile::new().map_err(failed)?;
    writeln!(known, "{ALIAS} {}", arrival.host_key).map_err(failed)?;
    let program = ssh(arrival, &known.path().display().to_string());
    let (start, status) = (Instant::now(), Status::new());
    let name = &arrival.image;
    loop {
        let why = match told(&program.output()?, arrival) {
            Told::Arrived => {
                progress::step("Arrived", format!("{name} answers, with its seed and its image"));
                return Ok(());
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
            Told::NotYet(why) => why,
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

fn ssh(arrival: &Arrival, known_hosts: &str) -> Program {
    let options = [
        "StrictHostKeyChecking=yes".to_owned(),
        format!("UserKnownHostsFile={known_hosts}"),
        "GlobalKnownHostsFile=/dev/null".to_owned(),
        format!("HostKeyAlias={ALIAS}"),
        "ControlPath=none".to_owned(),
        // It is tried often: nobody is asked for anything.
        "BatchMode=yes".to_owned(),
        "ConnectTimeout=10".to_owned(),
        "ServerAliveInterval=10".to_owned(),
    ];
    let mut program = Program::new("ssh").arg("-T").envs(std::env::vars_os()).quiet();
    for option in &options {
        program = program.args(["-o", option]);
    }
    if let Some(port) = arrival.login.port {
        program = program.args(["-p", &port.to_string()]);
    }
    if let Some(user) = &arrival.login.user {
        program = program.args(["-l", user]);
    }
    program.args(["--", &arrival.login.host, "cat /etc/os-release"])
}

fn told(output: &Output, arrival: &Arrival) -> Told {
    let said = String::from_utf8_lossy(&output.stderr);
    if output.code == 0 {
        let text = String::from_utf8_lossy(&output.stdout);
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
    // The key is checked before anybody logs in.
    if said.contains("Permission denied (") {
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
            told(&Output { code, stdout, stderr }, &arrival)
        };
        let release = "ID=debian\nIMAGE_ID=\"arch4-web1\"\nIMAGE_VERSION=\"7\"\n";
        assert_eq!(ask(0, release, ""), Told::Arrived);
        let other = release.replace("\"7\"", "\"6\"");
        assert_eq!(ask(0, &other, ""), Told::Other("arch4-web1, version 6".to_owned()));
        let foreign = Told::Other("a system that is no image of ours".to_owned());
        assert_eq!(ask(0, "ID=debian\n", ""), foreign);
        assert_eq!(ask(255, "", "admin@h: Permission denied (publickey).\n"), Told::HasKey);
        let refused = "ssh: connect to host h port 22: Connection refused";
        assert_eq!(ask(255, "", &format!("{refused}\r\n")), Told::NotYet(refused.to_owned()));
        let rescue = ask(255, "", "No ED25519 host key is known\nHost key verification failed.\n");
        assert!(matches!(rescue, Told::NotYet(why) if why.starts_with("another system")));
    }
}
