//! `answers`: what a web client gets at a URL, and from whom.

use super::{Probe, Prober, first_line};
use crate::error::Result;
use crate::runner::addresses::of_host;
use crate::runner::probe_result::ProbeResult;
use crate::scenario::expectation::Answers;
use crate::scenario::{Aliases, Name};
use std::net::IpAddr;
use std::time::Duration;

/// Time for the answer to each request, native.
const ANSWER: Duration = Duration::from_secs(2);
/// "Only from these", "never from these": so many answers in a row at least, as balancers
/// take turns.
const IN_A_ROW: usize = 4;

impl Probe for Answers {
    fn probe(&self, prober: &mut Prober<'_, '_>) -> Result<ProbeResult> {
        let url = self.url.get_ref();
        let (network, addresses) =
            of_host(prober.cluster.architecture, prober.aliases, &url.host, self.over)?;
        let network = self.seen_from.as_ref().map_or(network, |from| from.get_ref().clone());
        let is_any = self.from.is_empty() && self.not_from.is_empty();
        let rounds =
            if is_any { 1 } else { IN_A_ROW.max(prober.cluster.architecture.servers.len()) };
        for _ in 0..rounds {
            for (_, address) in &addresses {
                if let Some(seen) = complaint(self, prober, &network, *address)? {
                    return Ok(ProbeResult::NotMet(seen));
                }
            }
        }
        let wanted = self.from_each.iter().map(|name| prober.aliases.machine(name.get_ref()));
        let missing: Vec<&str> = wanted.filter(|name| !prober.answered.contains(*name)).collect();
        Ok(ProbeResult::of(missing.is_empty(), || {
            format!("no answer from {} yet", missing.join(", "))
        }))
    }
}

/// What is wrong with one answer, if anything is.
fn complaint(
    answers: &Answers,
    prober: &mut Prober<'_, '_>,
    network: &str,
    address: IpAddr,
) -> Result<Option<String>> {
    let url = answers.url.get_ref().at(address);
    let deadline = ANSWER.mul_f64(prober.clock.time_scale());
    let exchange = prober.cluster.clients.ask(network, &url, deadline)?;
    let answer = match &exchange.result {
        Ok(answer) => answer,
        Err(failure) => return Ok(Some(format!("{url}: {failure}"))),
    };
    let (status, text) = (answer.status, answer.text());
    let server = answer.server.clone().unwrap_or_default();
    if status != answers.status {
        let whose = if server.is_empty() { server } else { format!(" from {server}") };
        return Ok(Some(format!("{url}: {status}{whose}: {}", first_line(&text))));
    }
    if let Some(words) = answers.body.as_ref().filter(|words| !text.contains(*words)) {
        let line = first_line(&text);
        return Ok(Some(format!("{url}: {status} without {words:?}: {line}")));
    }
    if let Some(name) = &answers.certificate {
        let own = prober.cluster.credentials.certificates(name.get_ref())?;
        if !answer.certificate.is_some_and(|shown| own.contains(&shown)) {
            return Ok(Some(format!("{url}: another certificate than {}", name.get_ref())));
        }
    }
    if !is_whose(answers, prober.aliases, &server) {
        let whose = if server.is_empty() { "a server that does not say its name" } else { &server };
        return Ok(Some(format!("{url}: an answer from {whose}")));
    }
    prober.answered.insert(server);
    Ok(None)
}

/// Whether an answer may be this server's. One that does not say whose it is may be
/// anyone's.
fn is_whose(answers: &Answers, aliases: &Aliases, server: &str) -> bool {
    let names = |list: &[Name]| list.iter().any(|name| aliases.machine(name.get_ref()) == server);
    let is_wanted = answers.from.is_empty() || names(&answers.from);
    let is_barred = server.is_empty() || names(&answers.not_from);
    is_wanted && (answers.not_from.is_empty() || !is_barred)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn whose_answer_it_may_be() {
        let read = |more: &str| -> Answers {
            toml::from_str(&format!("url = \"http://web/\"\n{more}")).unwrap()
        };
        let parts = [("active", "web1"), ("standby", "web2")];
        let parts = parts.map(|(part, machine)| (part.to_owned(), machine.to_owned()));
        let aliases = Aliases(BTreeMap::from(parts));
        let whose = |more: &str| {
            let answers = read(more);
            ["web1", "web2", "web3", ""].map(|server| is_whose(&answers, &aliases, server))
        };
        assert_eq!(whose(""), [true, true, true, true]);
        assert_eq!(whose("from = [\"standby\"]"), [false, true, false, false]);
        assert_eq!(whose("not-from = [\"active\"]"), [false, true, true, false]);
        assert_eq!(
            whose("from = [\"active\", \"web3\"]\nnot-from = [\"active\"]"),
            [false, false, true, false]
        );
    }
}
