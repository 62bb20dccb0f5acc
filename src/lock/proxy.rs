//! The proxy that a file is fetched through, by the rules of curl and apt.
//!
//! `http_proxy` is for http, `https_proxy` for https, `all_proxy` for both, in lower or upper
//! case; hosts that `no_proxy` lists are reached directly. Where no variable is set, the
//! configuration of the host's apt counts: `Acquire::http::Proxy`, also for one host, and for
//! https, which takes that of http where it has none (apt-transport-http(1)).

use crate::error::{Error, Result};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use ureq::http::Uri;

/// What the environment and apt say about proxies.
#[derive(Debug, Clone, Default)]
pub struct Proxies {
    variables: BTreeMap<String, String>,
    apt: BTreeMap<String, String>,
}

/// A proxy, and how it is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Proxy {
    /// `http://proxy:3128`, perhaps with user and password.
    pub(super) uri: Uri,
    /// The value of `Proxy-Authorization`.
    pub(super) authorization: Option<String>,
}

impl Proxies {
    /// None: every host is reached directly.
    pub fn none() -> Proxies {
        Proxies::default()
    }

    /// Those of this process's environment, and of the apt below `root`, which is "/".
    pub fn of_host(root: &Path) -> Proxies {
        let names = ["http_proxy", "https_proxy", "all_proxy", "no_proxy"];
        let spellings = names.iter().flat_map(|name| [(*name).to_owned(), name.to_uppercase()]);
        let value = |name: String| std::env::var(&name).ok().map(|value| (name, value));
        Proxies { variables: spellings.filter_map(value).collect(), apt: apt_settings(root) }
    }

    /// The proxy for a URL below `base`, if it is not fetched directly.
    ///
    /// # Errors
    /// When a setting that counts here names no HTTP proxy. Its value is not shown: there may
    /// be a password in it.
    pub(super) fn of(&self, base: &Uri) -> Result<Option<Proxy>> {
        let (scheme, host) = (base.scheme_str().unwrap_or("http"), base.host().unwrap_or(""));
        if self.is_direct(host) {
            return Ok(None);
        }
        let names = [format!("{scheme}_proxy"), "all_proxy".to_owned()];
        let spellings = names.iter().flat_map(|name| [name.clone(), name.to_uppercase()]);
        for name in spellings {
            if let Some(value) = self.variables.get(&name) {
                // An empty one says: no proxy.
                return if value.is_empty() { Ok(None) } else { proxy(&name, value).map(Some) };
            }
        }
        let of = |scheme: &str| format!("acquire::{scheme}::proxy");
        let schemes = if scheme == "https" { vec!["https", "http"] } else { vec!["http"] };
        let names =
            schemes.iter().flat_map(|scheme| [format!("{}::{host}", of(scheme)), of(scheme)]);
        for name in names {
            if let Some(value) =
                self.apt.get(&name.to_lowercase()).filter(|value| !value.is_empty())
            {
                let setting = format!("apt's {}", name.replacen("acquire", "Acquire", 1));
                let is_direct = value.eq_ignore_ascii_case("direct");
                return if is_direct { Ok(None) } else { proxy(&setting, value).map(Some) };
            }
        }
        Ok(None)
    }

    /// Whether `no_proxy` lists the host: by name, as part of a domain, or `*` for all.
    fn is_direct(&self, host: &str) -> bool {
        let host = host.trim_matches(['[', ']']).to_lowercase();
        let list = ["no_proxy", "NO_PROXY"].iter().find_map(|name| self.variables.get(*name));
        let Some(list) = list else { return false };
        list.split([',', ' ']).map(str::trim).filter(|entry| !entry.is_empty()).any(|entry| {
            let entry = entry.trim_start_matches("*.").trim_start_matches('.').to_lowercase();
            let in_network = || {
                let network = entry.parse::<crate::spec::Prefix>().ok()?;
                Some(network.contains(host.parse::<IpAddr>().ok()?))
            };
            entry == "*"
                || host == entry
                || host.strip_suffix(&entry).is_some_and(|rest| rest.ends_with('.'))
                || in_network().unwrap_or(false)
        })
    }
}

impl Proxy {
    /// Its host and port: user and password are nobody else's.
    pub(super) fn shown(&self) -> String {
        without_user(&self.uri)
    }
}

/// Host and port of a URL.
pub(super) fn without_user(url: &Uri) -> String {
    let authority = url.authority().map_or("", |authority| authority.as_str());
    authority.rsplit('@').next().unwrap_or(authority).to_owned()
}

/// What a server is told of the user and the password in a URL.
pub(super) fn authorization(url: &Uri) -> Option<String> {
    let (userinfo, _) = url.authority()?.as_str().rsplit_once('@')?;
    let clear = percent_encoding::percent_decode_str(userinfo).collect::<Vec<u8>>();
    Some(format!("Basic {}", BASE64_STANDARD.encode(clear)))
}

/// Reads the value of a setting.
fn proxy(setting: &str, value: &str) -> Result<Proxy> {
    let value = value.trim().trim_end_matches('/');
    let url = if value.contains("://") { value.to_owned() } else { format!("http://{value}") };
    let uri = url.parse::<Uri>().ok().filter(|uri| {
        let is_http = ["http", "https"].contains(&uri.scheme_str().unwrap_or(""));
        is_http && uri.host().is_some_and(|host| !host.is_empty())
    });
    let uri = uri.ok_or_else(|| {
        Error::input(format!("{setting} names no HTTP proxy"))
            .hint("write it as http://proxy:3128, or set no_proxy for the mirror's host")
    })?;
    let authorization = authorization(&uri);
    Ok(Proxy { uri, authorization })
}

/// The settings of apt's configuration, by their names in lower case: apt.conf.d in order,
/// then apt.conf. What cannot be read is skipped: it is the host's, not the user's input.
fn apt_settings(root: &Path) -> BTreeMap<String, String> {
    let apt = root.join("etc/apt");
    let mut files = Vec::new();
    if let Ok(entries) = std::fs::read_dir(apt.join("apt.conf.d")) {
        files.extend(entries.flatten().map(|entry| entry.path()));
    }
    // As apt chooses: others are backups and leftovers.
    let is_plain = |name: &str| {
        let letter = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
        !name.starts_with('.') && name.chars().all(letter)
    };
    files.retain(|file| {
        let name = file.file_name().and_then(|name| name.to_str());
        name.is_some_and(is_plain) && file.extension().is_none_or(|ending| ending == "conf")
    });
    files.sort();
    files.push(apt.join("apt.conf"));
    let mut settings = BTreeMap::new();
    for text in files.iter().filter_map(|file| std::fs::read_to_string(file).ok()) {
        read_apt(&text, &mut settings);
    }
    settings
}

/// Reads the format of apt.conf(5): `A::B "value";`, `A { B "value"; };`, three kinds of
/// comments.
fn read_apt(text: &str, settings: &mut BTreeMap<String, String>) {
    let mut scopes: Vec<String> = Vec::new();
    let mut words: Vec<String> = Vec::new();
    for token in apt_tokens(text) {
        match token.as_str() {
            "{" => scopes.push(std::mem::take(&mut words).join("::")),
            "}" => {
                scopes.pop();
                words.clear();
            }
            ";" => {
                if let [name, value] = words.as_slice() {
                    let names = scopes.iter().chain([name]).map(String::as_str);
                    let name = names.collect::<Vec<_>>().join("::").to_lowercase();
                    settings.insert(name, value.clone());
                }
                words.clear();
            }
            _ => words.push(token),
        }
    }
}

fn apt_tokens(text: &str) -> Vec<String> {
    let (mut tokens, mut word) = (Vec::new(), String::new());
    let mut rest = text.chars().peekable();
    let end = |word: &mut String, tokens: &mut Vec<String>| {
        if !word.is_empty() {
            tokens.push(std::mem::take(word));
        }
    };
    while let Some(letter) = rest.next() {
        match letter {
            '"' => {
                end(&mut word, &mut tokens);
                tokens.push(rest.by_ref().take_while(|letter| *letter != '"').collect());
            }
            '#' if word.is_empty() => drop(rest.by_ref().find(|letter| *letter == '\n')),
            '/' if rest.peek() == Some(&'/') => drop(rest.by_ref().find(|letter| *letter == '\n')),
            '/' if rest.peek() == Some(&'*') => {
                let mut before = ' ';
                while let Some(letter) =
                    rest.next().filter(|letter| (before, *letter) != ('*', '/'))
                {
                    before = letter;
                }
            }
            '{' | '}' | ';' => {
                end(&mut word, &mut tokens);
                tokens.push(letter.to_string());
            }
            letter if letter.is_whitespace() => end(&mut word, &mut tokens),
            letter => word.push(letter),
        }
    }
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(variables: &[(&str, &str)], apt: &str, url: &str) -> Option<String> {
        let mut proxies = Proxies::none();
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        proxies.variables = variables.iter().map(owned).collect();
        read_apt(apt, &mut proxies.apt);
        proxies.of(&url.parse().unwrap()).unwrap().map(|proxy| proxy.uri.to_string())
    }

    const HTTP: &str = "http://deb.example/debian";
    const HTTPS: &str = "https://deb.example/debian";

    #[test]
    fn each_scheme_has_its_variable() {
        let both = [("http_proxy", "http://a:1"), ("https_proxy", "http://b:2")];
        assert_eq!(of(&both, "", HTTP).unwrap(), "http://a:1/");
        assert_eq!(of(&both, "", HTTPS).unwrap(), "http://b:2/");
        assert_eq!(of(&both[..1], "", HTTPS), None);
        assert_eq!(of(&[("HTTP_PROXY", "a:1")], "", HTTP).unwrap(), "http://a:1/");
        assert_eq!(of(&[("ALL_PROXY", "http://a:1/")], "", HTTPS).unwrap(), "http://a:1/");
        let two = [("http_proxy", "http://a:1"), ("HTTP_PROXY", "http://b:2")];
        assert_eq!(of(&two, "", HTTP).unwrap(), "http://a:1/");
        assert_eq!(of(&[("http_proxy", ""), ("all_proxy", "http://a:1")], "", HTTP), None);
        assert_eq!(of(&[], "", HTTP), None);
    }

    #[test]
    fn some_hosts_are_reached_directly() {
        let direct = |list: &str, url: &str| {
            of(&[("http_proxy", "http://a:1"), ("no_proxy", list)], "", url).is_none()
        };
        for list in ["deb.example", "x, .example", "example", "*", "*.example", "x deb.example"] {
            assert!(direct(list, HTTP), "{list}");
        }
        for list in ["", "eb.example", "deb.example.org", "deb"] {
            assert!(!direct(list, HTTP), "{list}");
        }
        assert!(direct("10.0.0.0/8", "http://10.1.2.3/debian"));
        assert!(direct("::1", "http://[::1]/debian"));
        assert!(!direct("10.0.0.0/8", "http://11.1.2.3/debian"));
    }

    #[test]
    fn apts_own_setting_counts_where_no_variable_does() {
        let plain = "// a comment\nAcquire::http::Proxy \"http://a:3142\";\n";
        assert_eq!(of(&[], plain, HTTP).unwrap(), "http://a:3142/");
        assert_eq!(of(&[], plain, HTTPS).unwrap(), "http://a:3142/", "apt takes it for https too");
        assert_eq!(of(&[("http_proxy", "http://b:1")], plain, HTTP).unwrap(), "http://b:1/");
        let nested = "# one\nacquire { /* two */ HTTP { Proxy \"http://a:1\";\n Proxy::deb.example \"DIRECT\"; }; https::proxy \"http://c:1\"; };";
        assert_eq!(of(&[], nested, HTTP), None);
        assert_eq!(of(&[], nested, "http://other.example/").unwrap(), "http://a:1/");
        assert_eq!(of(&[], nested, HTTPS).unwrap(), "http://c:1/");
        assert_eq!(of(&[], "Acquire::http::Proxy \"DIRECT\";", HTTP), None);
    }

    #[test]
    fn no_password_is_shown() {
        let mut proxies = Proxies::none();
        proxies.variables.insert("http_proxy".into(), "socks5://me:secret@a:1".into());
        let error = proxies.of(&HTTP.parse().unwrap()).unwrap_err().to_string();
        assert_eq!(
            error,
            "error: http_proxy names no HTTP proxy\nhint: write it as http://proxy:3128, or set no_proxy for the mirror's host"
        );
        let asked = proxy("http_proxy", "http://me:s%3Acret@a:1").unwrap();
        assert_eq!(asked.authorization.as_deref(), Some("Basic bWU6czpjcmV0"));
    }

    #[test]
    fn the_files_are_those_that_apt_reads() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("etc/apt/apt.conf.d");
        std::fs::create_dir_all(&folder).unwrap();
        let put = |name: &str, port: u16| {
            let text = format!("Acquire::http::Proxy \"http://a:{port}\";");
            std::fs::write(folder.join(name), text).unwrap();
        };
        let port = || apt_settings(root.path()).get("acquire::http::proxy").cloned();
        assert_eq!(port(), None);
        put("10old", 1);
        put("20new.conf", 2);
        for other in ["30backup.bak", "30new.conf~", "20new~", ".#99new"] {
            put(other, 3);
        }
        assert_eq!(port().unwrap(), "http://a:2");
        put("../apt.conf", 4);
        assert_eq!(port().unwrap(), "http://a:4");
    }

    proptest! {
        #[test]
        fn any_configuration_is_read(text in "(Acquire|::|\"|\\{|\\}|;| |//|/\\*|\\*/|#|\n|.){0,40}") {
            read_apt(&text, &mut BTreeMap::new());
        }
    }
}
