//! The topology of an architecture, drawn from the spec alone: the book's diagram,
//! as text for a terminal and as SVG.

mod measure;
mod places;
mod svg;
mod text;

pub use svg::svg;
pub use text::text;

use crate::spec::{Architecture, Bind, From, Port, Prefix, Protocol, Purpose, Server, Spec};

/// Roles that every server has; a diagram is about the others.
const EVERYWHERE: [&str; 2] = ["base", "monitored"];

/// "load-balancer + web": the roles that make a server what it is.
fn roles(server: &Server) -> String {
    let own = server.roles.iter().map(String::as_str).filter(|role| !EVERYWHERE.contains(role));
    own.collect::<Vec<_>>().join(" + ")
}

/// A port of a server, in words.
struct Opening {
    /// "tcp 80"
    number: String,
    /// "http"
    name: String,
    /// "on public", "on the floating web address", "on the loopback"
    place: String,
    /// "from anyone"
    from: String,
}

/// The server's ports, in the order of its roles.
fn openings(spec: &Spec, architecture: &Architecture, server: &Server) -> Vec<Opening> {
    spec.roles_of(server)
        .flat_map(|role| role.ports.iter().map(move |port| (role.name.as_str(), port)))
        .filter(|(_, port)| port.applies(architecture) && listens(architecture, port, server))
        .map(|(role, port)| Opening {
            number: number(port),
            name: port.name.clone(),
            place: place(port, server),
            from: from(spec, architecture, role, port, server),
        })
        .collect()
}

/// Whether the server has what the port is bound to: a role may be for servers on two
/// networks and stand on one.
fn listens(architecture: &Architecture, port: &Port, server: &Server) -> bool {
    match &port.bind {
        Bind::All | Bind::Loopback | Bind::Access => true,
        Bind::Network(network) => server.addresses.contains_key(network),
        Bind::Floating(purpose) => {
            architecture.floating_for(*purpose).any(|floating| floating.is_at(&server.name))
        }
    }
}

fn number(port: &Port) -> String {
    match port.protocol {
        Protocol::Tcp => format!("tcp {}", port.number),
        Protocol::Udp => format!("udp {}", port.number),
        Protocol::Vrrp => "vrrp".to_owned(),
    }
}

fn place(port: &Port, server: &Server) -> String {
    match &port.bind {
        Bind::All => "on every address".to_owned(),
        Bind::Loopback => "on the loopback".to_owned(),
        Bind::Access => format!("on {}", server.ssh.join(", ")),
        Bind::Network(network) => format!("on {network}"),
        Bind::Floating(purpose) => {
            format!("on the floating address for {}", self::purpose(*purpose))
        }
    }
}

fn from(
    spec: &Spec,
    architecture: &Architecture,
    role: &str,
    port: &Port,
    server: &Server,
) -> String {
    let exists = |from: &&From| match from {
        From::Role(role) => architecture.with_role(role).next().is_some(),
        From::Any
        | From::Access
        | From::Peers
        | From::CoHolders
        | From::Network(_)
        | From::Server(_) => true,
    };
    let words = port.from.iter().filter(exists).map(|from| match from {
        From::Any => "anyone".to_owned(),
        From::Access => {
            let own = server.ssh.iter().cloned();
            let admins = spec.site.admin_from.iter().map(Prefix::to_string);
            own.chain(admins).collect::<Vec<_>>().join(", ")
        }
        From::Peers => format!("other {role} servers"),
        From::CoHolders => "the address's other holders".to_owned(),
        From::Network(network) => network.clone(),
        From::Role(role) => format!("{role} servers"),
        From::Server(server) => server.clone(),
    });
    let words: Vec<String> = words.collect();
    if words.is_empty() { "from itself".to_owned() } else { format!("from {}", words.join(", ")) }
}

fn purpose(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Web => "the website",
        Purpose::DatabaseReads => "database reads",
        Purpose::DatabaseWrites => "database writes",
    }
}
