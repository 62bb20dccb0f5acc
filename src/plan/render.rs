//! Every file of a server's configuration layer, as values: overlays of its roles
//! with their templates rendered, and the files that follow from the spec.
//!
//! Pure. The only module that names minijinja: strict about undefined variables,
//! keeps the trailing newline, escapes nothing.

use super::render_context::Context;
use super::render_includes::{self, Reached};
use super::{render_generated, render_networks, render_units};
use crate::error::{Error, Place, Result};
use crate::spec::{Architecture, BASE_ROLE, Role, Server, Spec, TreeFile};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior};
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;
use std::path::Path;

/// One file of the configuration layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ConfigFile {
    /// Where it is on the server: `/etc/hosts`.
    pub path: String,
    /// Permission bits.
    pub mode: u32,
    /// The owner's number.
    pub uid: u32,
    /// The group's number.
    pub gid: u32,
    /// What it is.
    pub content: Content,
    /// Where it comes from: `overlays/web/...`, or the role whose key asked for it.
    pub source: String,
}

/// What a path of the configuration layer is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Content {
    /// A file.
    #[serde(serialize_with = "readable")]
    Bytes(Vec<u8>),
    /// A symbolic link to this.
    Symlink(String),
    /// A folder that must exist though it may be empty.
    Directory,
    /// The agent of a pair of databases, which another step compiles.
    Agent,
}

impl Content {
    /// Bytes that it takes at least.
    pub(super) fn length(&self) -> u64 {
        match self {
            Content::Bytes(bytes) => bytes.len() as u64,
            // Of 800 kB, with room to grow.
            Content::Agent => 2 << 20,
            Content::Symlink(_) | Content::Directory => 0,
        }
    }
}

/// Text as text, so that `plan --json` can be read; else `{"hex": ...}`.
fn readable<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return serializer.serialize_str(text);
    }
    serializer.collect_map([("hex", hex::encode(bytes))])
}

impl ConfigFile {
    /// A text file of root's, 0644.
    pub(crate) fn text(path: impl Into<String>, text: String, source: &str) -> ConfigFile {
        let (path, source) = (path.into(), source.to_owned());
        ConfigFile {
            path,
            mode: 0o644,
            uid: 0,
            gid: 0,
            content: Content::Bytes(text.into()),
            source,
        }
    }

    /// A symbolic link.
    pub(crate) fn link(path: impl Into<String>, target: impl Into<String>, source: &str) -> Self {
        let content = Content::Symlink(target.into());
        ConfigFile {
            path: path.into(),
            mode: 0o777,
            uid: 0,
            gid: 0,
            content,
            source: source.into(),
        }
    }
}

/// The configuration layer of `server`, sorted by path.
///
/// # Errors
/// When a template is wrong (with its line), or two sources bring one path.
pub fn config_files(
    spec: &Spec,
    architecture: &Architecture,
    server: &Server,
) -> Result<Vec<ConfigFile>> {
    let context = Context::new(spec, architecture, server);
    let mut files = Vec::new();
    for role in spec.roles_of(server) {
        files.extend(overlay(spec, role, &context)?);
    }
    files.extend(render_generated::files(spec, architecture, server));
    if server.has_role(BASE_ROLE) {
        files.extend(render_networks::files(architecture, server));
    }
    files.extend(render_units::files(spec, server));
    let mut by_path: BTreeMap<String, ConfigFile> = BTreeMap::new();
    for file in files {
        if let Some(other) = by_path.insert(file.path.clone(), file) {
            let now = by_path.get(&other.path).map_or("", |file| &file.source);
            return Err(Error::input(format!("{} comes from two places", other.path))
                .detail(format!("{}\n{now}", other.source))
                .hint("remove one of them; imagebuild makes some files from keys of the roles"));
        }
    }
    Ok(by_path.into_values().collect())
}

fn overlay(spec: &Spec, role: &Role, context: &Context<'_>) -> Result<Vec<ConfigFile>> {
    let Some(overlay) = &role.overlay else { return Ok(Vec::new()) };
    let folder = format!("overlays/{overlay}");
    let mut files = Vec::new();
    for (below, file) in spec.tree.below(&folder) {
        let source = format!("{folder}/{below}");
        let path = format!("/{}", file.template(below).unwrap_or(below));
        let content = match file.template(below) {
            Some(_) => render(spec, &source, file, context)?.into_bytes(),
            None => file.content.clone(),
        };
        let by_kind = if file.executable { 0o755 } else { 0o644 };
        let mode = role.modes.get(&path).map_or(by_kind, |mode| mode.0);
        files.push(ConfigFile {
            path,
            mode,
            uid: 0,
            gid: 0,
            content: Content::Bytes(content),
            source,
        });
    }
    Ok(files)
}

/// Renders one template, with those that it includes.
fn render(spec: &Spec, source: &str, file: &TreeFile, context: &Context<'_>) -> Result<String> {
    let text = std::str::from_utf8(&file.content).map_err(|cause| {
        Error::input(format!("the template {source} is not UTF-8: {cause}"))
            .hint("take `.j2` off its name if it is not a template")
    })?;
    let reached = render_includes::reached(&spec.tree, source, text)?;
    let failed = |cause: minijinja::Error| template_error(source, &reached, &cause);
    let environment = environment(&reached).map_err(failed)?;
    let template = environment.get_template(source).map_err(failed)?;
    template.render(Serde(context)).map_err(failed)
}

/// What one file may take to render, in minijinja's fuel: one for each instruction, and for
/// each 64 bytes that are made; so at most 256 MiB, and some second. The longest of the
/// built-in templates takes a few thousand.
const FUEL: u64 = 4 << 20;

fn environment<'a>(reached: &Reached<'a>) -> Result<Environment<'a>, minijinja::Error> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    let mut syntax = SyntaxConfig::builder();
    syntax.keep_trailing_newline(true).trim_blocks(true).lstrip_blocks(true);
    environment.set_syntax(syntax.build()?);
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    environment.set_debug(true);
    environment.set_fuel(Some(FUEL));
    for (name, text) in reached {
        environment.add_template(name, text)?;
    }
    Ok(environment)
}

/// The variables that the template `source` and those that it includes name, with their
/// values for `server` as JSON, sorted. What a loop or a macro names itself is not among
/// them.
///
/// # Errors
/// When there is no such template, or it is wrong.
pub fn variables(
    spec: &Spec,
    architecture: &Architecture,
    server: &Server,
    source: &str,
) -> Result<Vec<(String, String)>> {
    let missing = || Error::input(format!("the project has no {source}"));
    let file = spec.tree.get(source).ok_or_else(missing)?;
    let text = String::from_utf8_lossy(&file.content);
    let reached = render_includes::reached(&spec.tree, source, &text)?;
    let failed = |cause: minijinja::Error| template_error(source, &reached, &cause);
    let environment = environment(&reached).map_err(failed)?;
    let values = serde_json::to_value(Context::new(spec, architecture, server))
        .map_err(|cause| Error::build(cause.to_string()))?;
    let mut names = std::collections::BTreeSet::new();
    for name in reached.keys() {
        names.extend(environment.get_template(name).map_err(failed)?.undeclared_variables(true));
    }
    Ok(names.into_iter().filter_map(|name| Some((name.clone(), value(&values, &name)?))).collect())
}

/// The value under a name with dots, as JSON.
fn value(values: &serde_json::Value, name: &str) -> Option<String> {
    let found = name.split('.').try_fold(values, |value, part| value.get(part))?;
    Some(found.to_string())
}

fn template_error(source: &str, reached: &Reached<'_>, cause: &minijinja::Error) -> Error {
    let cause = innermost(cause);
    let name = cause.name().filter(|name| reached.contains_key(name)).unwrap_or(source);
    let text = reached.get(name).copied().unwrap_or("");
    let undefined = cause.kind() == minijinja::ErrorKind::UndefinedError;
    let endless = cause.kind() == minijinja::ErrorKind::OutOfFuel;
    let span = cause.range().or_else(|| line_span(text, cause.line()?));
    let wanted = span.clone().and_then(|span| text.get(span)).unwrap_or("").trim().to_owned();
    let message = match (undefined, cause.detail()) {
        (true, _) if !wanted.is_empty() => format!("`{wanted}` is not defined in this template"),
        _ if endless => format!("the template takes more than {FUEL} steps"),
        (_, Some(detail)) => format!("the template is wrong: {detail}"),
        (_, None) => format!("the template is wrong: {}", cause.kind()),
    };
    let error = Error::input(message);
    let error = match span {
        Some(span) => error.at(Place::of_span(Path::new(name), text, span)),
        None => error.context(name),
    };
    if undefined {
        error.hint("templates know `server`, `arch`, `site` and `peers`; look for the name in the built-in overlays")
    } else if endless {
        error.hint("a loop in a loop, or a text that doubles? No file of a server is that long")
    } else {
        error.hint("templates are minijinja's: https://docs.rs/minijinja/latest/minijinja/syntax/")
    }
}

/// An error in an included template comes wrapped in one of the template around it.
fn innermost(cause: &minijinja::Error) -> &minijinja::Error {
    let inner = std::error::Error::source(cause).and_then(|inner| inner.downcast_ref());
    inner.map_or(cause, innermost)
}

fn line_span(text: &str, line: usize) -> Option<std::ops::Range<usize>> {
    let start = text.split_inclusive('\n').take(line.checked_sub(1)?).map(str::len).sum();
    let length = text.get(start..)?.lines().next()?.len();
    Some(start..start + length)
}
