//! Reads the types that serde fills, with their comments, from the sources.

use std::collections::BTreeMap;
use std::path::Path;
use syn::parse::{Parse, ParseStream};
use syn::{
    Attribute, Expr, Field, Fields, GenericArgument, Ident, Item, ItemEnum, ItemStruct, Lit,
};
use syn::{Meta, PathArguments, Token, Type};

/// What a key may hold.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Form {
    /// A struct or an enum of [`Types`], or a leaf.
    Named(String),
    /// A list.
    List(Box<Form>),
    /// A table whose keys the author chose.
    Map(Box<Form>),
}

#[derive(Debug, Clone)]
pub(super) struct Key {
    pub(super) name: String,
    pub(super) docs: String,
    pub(super) form: Form,
    pub(super) is_required: bool,
}

#[derive(Debug, Clone)]
pub(super) struct Variant {
    pub(super) name: String,
    pub(super) docs: String,
    pub(super) form: Option<Form>,
}

#[derive(Debug, Clone)]
pub(super) enum Shape {
    /// A table with these keys.
    Table(Vec<Key>),
    /// One of these.
    Choice(Vec<Variant>),
    /// As another.
    Alias(Form),
}

#[derive(Debug, Clone)]
pub(super) struct Described {
    pub(super) docs: String,
    pub(super) shape: Shape,
}

/// By name.
#[derive(Debug, Default)]
pub(super) struct Types(pub(super) BTreeMap<String, Described>);

impl Types {
    /// Those in the files below `folders` of the repository.
    pub(super) fn read(root: &Path, folders: &[&str]) -> Types {
        let mut types = Types::default();
        let mut variants = Vec::new();
        let files = folders.iter().flat_map(|folder| walkdir::WalkDir::new(root.join(folder)));
        for entry in files.filter_map(Result::ok) {
            if entry.path().extension().is_none_or(|ending| ending != "rs") {
                continue;
            }
            let text = std::fs::read_to_string(entry.path()).unwrap();
            for item in syn::parse_file(&text).unwrap().items {
                types.item(item, &mut variants);
            }
        }
        // The enums that a list of kinds makes: each kind is a type.
        for (name, kinds) in variants {
            let variant = |kind: &String| Variant {
                name: kebab(kind),
                docs: types.0[kind].docs.clone(),
                form: Some(Form::Named(kind.clone())),
            };
            let (docs, all) = (String::new(), kinds.iter().map(variant).collect());
            types.insert(name, Described { docs, shape: Shape::Choice(all) });
        }
        types
    }

    fn item(&mut self, item: Item, variants: &mut Vec<(&'static str, Vec<String>)>) {
        match item {
            Item::Struct(item) if is_read(&item.attrs) => self.table(&item),
            Item::Enum(item) if is_read(&item.attrs) => self.choice(&item),
            Item::Macro(item) => {
                let tokens = item.mac.tokens.clone();
                let name = item.mac.path.segments.last().unwrap().ident.to_string();
                let defined = item.ident.as_ref().map(ToString::to_string);
                match (name.as_str(), defined.as_deref()) {
                    ("expectation", _) => {
                        let mut item: ItemStruct = syn::parse2(tokens).unwrap();
                        item.attrs.push(syn::parse_quote!(#[serde(rename_all = "kebab-case")]));
                        self.table(&item);
                        self.with_times(&item.ident.to_string());
                    }
                    ("action_kinds", _) => self.kinds(&syn::parse2::<Kinds>(tokens).unwrap()),
                    (_, Some("each_expectation")) => {
                        variants.push(("Expectation", listed(&tokens.to_string())));
                    }
                    (_, Some("each_action")) => {
                        variants.push(("Action", listed(&tokens.to_string())));
                    }
                    _ => {}
                }
            }
            _ => {}
        }
    }

    fn table(&mut self, item: &ItemStruct) {
        let serde = Serde::of(&item.attrs);
        let shape = match &item.fields {
            Fields::Named(fields) => {
                let fields = fields.named.iter();
                let fields = fields.filter(|field| !Serde::of(&field.attrs).has("skip"));
                Shape::Table(fields.map(|field| key(field, &serde)).collect())
            }
            Fields::Unnamed(fields) => Shape::Alias(form(&fields.unnamed[0].ty).0),
            Fields::Unit => Shape::Table(Vec::new()),
        };
        self.insert(&item.ident.to_string(), Described { docs: docs(&item.attrs), shape });
    }

    fn choice(&mut self, item: &ItemEnum) {
        let serde = Serde::of(&item.attrs);
        let variant = |variant: &syn::Variant| {
            let own = Serde::of(&variant.attrs);
            let name = variant.ident.to_string();
            Variant {
                name: own.value("rename").unwrap_or_else(|| serde.renamed(&name, kebab)),
                docs: docs(&variant.attrs),
                form: variant.fields.iter().next().map(|field| form(&field.ty).0),
            }
        };
        let all = item.variants.iter().map(variant).collect();
        let described = Described { docs: docs(&item.attrs), shape: Shape::Choice(all) };
        self.insert(&item.ident.to_string(), described);
    }

    fn kinds(&mut self, kinds: &Kinds) {
        for (attributes, name, value) in &kinds.0 {
            let described =
                Described { docs: docs(attributes), shape: Shape::Alias(form(value).0) };
            self.insert(&name.to_string(), described);
        }
    }

    /// The keys that the macro adds to each expectation.
    fn with_times(&mut self, name: &str) {
        let Shape::Table(keys) = &mut self.0.get_mut(name).unwrap().shape else { panic!("{name}") };
        for (name, docs) in [
            ("within", "How long it has to be met; at once, if nothing is said."),
            ("stays", "For how long it must then stay so."),
        ] {
            let form = Form::Named("Seconds".to_owned());
            keys.push(Key { name: name.into(), docs: docs.into(), form, is_required: false });
        }
    }

    fn insert(&mut self, name: &str, described: Described) {
        let before = self.0.insert(name.to_owned(), described);
        assert!(before.is_none(), "two types of files are called {name}");
    }
}

fn key(field: &Field, of_table: &Serde) -> Key {
    let serde = Serde::of(&field.attrs);
    let ident = field.ident.as_ref().unwrap().to_string();
    let (form, is_optional) = form(&field.ty);
    Key {
        name: serde.value("rename").unwrap_or_else(|| of_table.renamed(&ident, kebab_of_snake)),
        docs: docs(&field.attrs),
        form,
        is_required: !is_optional && !serde.has("default") && !of_table.has("default"),
    }
}

/// What a type of Rust holds, and whether it may be left out.
fn form(of: &Type) -> (Form, bool) {
    let Type::Path(path) = of else { panic!("a field of a type that has no name") };
    let last = path.path.segments.last().unwrap();
    let inner: Vec<&Type> = match &last.arguments {
        PathArguments::AngleBracketed(all) => all.args.iter().filter_map(as_type).collect(),
        PathArguments::None | PathArguments::Parenthesized(_) => Vec::new(),
    };
    match (last.ident.to_string().as_str(), inner.as_slice()) {
        ("Option", [inner]) => (form(inner).0, true),
        ("Spanned" | "Box", [inner]) => form(inner),
        ("Vec", [inner]) => (Form::List(Box::new(form(inner).0)), false),
        ("BTreeMap", [_, inner]) | ("Named", [inner]) => {
            (Form::Map(Box::new(form(inner).0)), false)
        }
        (name, []) => (Form::Named(name.to_owned()), false),
        (name, _) => panic!("what does {name} of something look like in a file?"),
    }
}

fn as_type(argument: &GenericArgument) -> Option<&Type> {
    if let GenericArgument::Type(inner) = argument { Some(inner) } else { None }
}

/// `$(#[doc])* Kind(Type): check, show;`, again and again.
struct Kinds(Vec<(Vec<Attribute>, Ident, Type)>);

impl Parse for Kinds {
    fn parse(input: ParseStream<'_>) -> syn::Result<Kinds> {
        let mut all = Vec::new();
        while !input.is_empty() {
            let attributes = input.call(Attribute::parse_outer)?;
            let name = input.parse()?;
            let inner;
            syn::parenthesized!(inner in input);
            all.push((attributes, name, inner.parse()?));
            input.parse::<Token![:]>()?;
            input.parse::<syn::Path>()?;
            input.parse::<Token![,]>()?;
            input.parse::<Expr>()?;
            input.parse::<Token![;]>()?;
        }
        Ok(Kinds(all))
    }
}

/// The names in the innermost braces of a macro that lists them.
fn listed(tokens: &str) -> Vec<String> {
    let (_, rest) = tokens.rsplit_once("! {").unwrap();
    let list = rest.split('}').next().unwrap();
    list.split(',').map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect()
}

/// The `#[serde(...)]` of an item.
struct Serde(Vec<(String, Option<String>)>);

impl Serde {
    fn of(attributes: &[Attribute]) -> Serde {
        let mut all = Vec::new();
        for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("serde")) {
            let read = attribute.parse_nested_meta(|meta| {
                let name = meta.path.get_ident().unwrap().to_string();
                if meta.input.peek(syn::token::Paren) {
                    // rename_all(deserialize = "...")
                    meta.parse_nested_meta(|inner| {
                        let value: Lit = inner.value()?.parse()?;
                        all.push((name.clone(), text(&value)));
                        Ok(())
                    })?;
                } else {
                    let value = if meta.input.peek(Token![=]) {
                        text(&meta.value()?.parse()?)
                    } else {
                        None
                    };
                    all.push((name, value));
                }
                Ok(())
            });
            read.unwrap();
        }
        Serde(all)
    }

    fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(own, _)| own == name)
    }

    fn value(&self, name: &str) -> Option<String> {
        self.0.iter().find(|(own, _)| own == name)?.1.clone()
    }

    fn renamed(&self, name: &str, kebab: fn(&str) -> String) -> String {
        match self.value("rename_all").as_deref() {
            None => name.to_owned(),
            Some("kebab-case") => kebab(name),
            Some("UPPERCASE") => name.to_uppercase(),
            Some(other) => panic!("what does rename_all = {other} make of {name}?"),
        }
    }
}

fn text(literal: &Lit) -> Option<String> {
    if let Lit::Str(text) = literal { Some(text.value()) } else { None }
}

/// Whether serde reads it as it stands. What is made from a text, `leaf` knows.
fn is_read(attributes: &[Attribute]) -> bool {
    let is_derived = attributes.iter().any(|attribute| {
        let Meta::List(list) = &attribute.meta else { return false };
        let words = list.tokens.to_string();
        list.path.is_ident("derive") && words.split([',', ' ', ':']).any(|w| w == "Deserialize")
    });
    is_derived && !Serde::of(attributes).has("try_from")
}

/// The comment, as one text.
fn docs(attributes: &[Attribute]) -> String {
    let line = |attribute: &Attribute| {
        let Meta::NameValue(pair) = &attribute.meta else { return None };
        let Expr::Lit(literal) = &pair.value else { return None };
        attribute.path().is_ident("doc").then(|| text(&literal.lit))?
    };
    let lines: Vec<String> = attributes.iter().filter_map(line).collect();
    lines.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ").trim().to_owned()
}

fn kebab(name: &str) -> String {
    let mut text = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() && !text.is_empty() {
            text.push('-');
        }
        text.extend(letter.to_lowercase());
    }
    text
}

fn kebab_of_snake(name: &str) -> String {
    name.replace('_', "-")
}
