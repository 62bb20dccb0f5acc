//! `answers`: a URL answers as it should, from the servers that should.

use super::{Kind, expectation};
use crate::error::Result;
use crate::scenario::check::Checker;
use crate::scenario::values::list;
use crate::scenario::{Families, Name, Scheme, Url};
use std::fmt;
use std::ops::Range;
use toml::Spanned;

expectation! {
    /// What a web client gets at a URL.
    pub struct Answers {
        /// What is asked for.
        pub url: Spanned<Url>,
        /// Over which IP versions; both, if nothing is said.
        #[serde(default)]
        pub over: Families,
        /// From which network; that of the address, if nothing is said.
        pub seen_from: Option<Name>,
        /// The status.
        #[serde(default = "ok")]
        pub status: u16,
        /// Words that are in the body.
        pub body: Option<String>,
        /// Every answer is one of these servers'.
        #[serde(default)]
        pub from: Vec<Name>,
        /// No answer is one of these servers'.
        #[serde(default)]
        pub not_from: Vec<Name>,
        /// Each of these servers answers, sooner or later.
        #[serde(default)]
        pub from_each: Vec<Name>,
        /// The server shows this certificate: that of a credential of its, such as
        /// `site.certificate`.
        pub certificate: Option<Name>,
    }
}

fn ok() -> u16 {
    200
}

impl Kind for Answers {
    fn check(&self, checker: &Checker<'_>, _: Range<usize>) -> Result<()> {
        checker.host(self.url.span(), &self.url.get_ref().host)?;
        if let Some(network) = &self.seen_from {
            checker.network(network)?;
        }
        let is_open = self.url.get_ref().scheme == Scheme::Http;
        if let Some(name) = self.certificate.as_ref().filter(|_| is_open) {
            let message = "nobody shows a certificate over http";
            let hint = "write the URL with https://, or take `certificate` out";
            return Err(checker.sources.error(name.span(), message).hint(hint));
        }
        let mut servers = self.from.iter().chain(&self.not_from).chain(&self.from_each);
        servers.try_for_each(|server| checker.machine(server))
    }

    fn url(&self) -> Option<&Url> {
        Some(self.url.get_ref())
    }
}

impl fmt::Display for Answers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} answers {}", self.url.get_ref(), self.status)?;
        if let [only] = self.over.each() {
            write!(f, " over {only}")?;
        }
        if let Some(words) = &self.body {
            write!(f, " with {words:?}")?;
        }
        if let Some(name) = &self.certificate {
            write!(f, ", with the certificate of {}", name.get_ref())?;
        }
        if !self.from.is_empty() {
            write!(f, ", only from {}", list(&self.from))?;
        }
        if !self.not_from.is_empty() {
            write!(f, ", never from {}", list(&self.not_from))?;
        }
        if !self.from_each.is_empty() {
            write!(f, ", from each of {}", list(&self.from_each))?;
        }
        Ok(())
    }
}
