//! The same as a JSON schema, for editors.

use super::types::{Described, Form, Key, Shape, Types, Variant};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// What a type that is no table looks like: in words, and as JSON schema.
pub(super) fn leaf(name: &str) -> (&'static str, Value) {
    let whole = |least: i64, most: Option<i64>| {
        let mut schema = json!({ "type": "integer", "minimum": least });
        if let Some(most) = most {
            schema["maximum"] = json!(most);
        }
        schema
    };
    match name {
        "String" => ("text", json!({ "type": "string" })),
        "Name" => ("name", json!({ "type": "string" })),
        "bool" => ("`true` or `false`", json!({ "type": "boolean" })),
        "u8" => ("whole number up to 255", whole(0, Some(255))),
        "u16" => ("whole number up to 65535", whole(0, Some(65535))),
        "u32" | "u64" => ("whole number", whole(0, None)),
        "i32" | "i64" => ("whole number, also below 0", json!({ "type": "integer" })),
        "IpAddr" => ("IP address", json!({ "type": "string" })),
        "Ipv4Addr" => ("IPv4 address", json!({ "type": "string", "format": "ipv4" })),
        "Ipv6Addr" => ("IPv6 address", json!({ "type": "string", "format": "ipv6" })),
        "Prefix" => {
            ("network, `\"10.0.0.0/24\"`", json!({ "type": "string", "pattern": "/[0-9]+$" }))
        }
        "Size" => ("size, `\"512M\"`, `\"20G\"`", json!({ "type": "string" })),
        "Mode" => ("permissions, `\"0640\"`", json!({ "type": "string", "pattern": "^[0-7]{4}$" })),
        "Url" => ("URL, `\"http://web/\"`", json!({ "type": "string", "pattern": "^https?://" })),
        "Host" => ("host, `\"web\"`, `\"web1.public\"`", json!({ "type": "string" })),
        "Seconds" => (
            "seconds, at most 3600",
            json!({ "type": "number", "exclusiveMinimum": 0, "maximum": 3600 }),
        ),
        "Rate" => (
            "number a second, at most 1000",
            json!({ "type": "number", "exclusiveMinimum": 0, "maximum": 1000 }),
        ),
        "Share" => ("share from 0 to 1", json!({ "type": "number", "minimum": 0, "maximum": 1 })),
        "ClientCount" => ("whole number, 1 to 1000", whole(1, Some(1000))),
        other => panic!("what is a {other} in a file? tests/basic/formats/schema.rs must say"),
    }
}

pub(super) fn of(types: &Types, title: &str, root: &str) -> Value {
    let mut writer = Writer { types, wanted: BTreeSet::new(), written: BTreeMap::new() };
    let described = &types.0[root];
    let mut schema = writer.shape(described);
    while let Some(name) = writer.wanted.iter().find(|n| !writer.written.contains_key(*n)).cloned()
    {
        let shape = writer.shape(&types.0[&name]);
        writer.written.insert(name, shape);
    }
    let object = schema.as_object_mut().unwrap();
    object.insert("$schema".into(), json!("https://json-schema.org/draft/2020-12/schema"));
    object.insert("title".into(), json!(title));
    object.insert("$defs".into(), json!(writer.written));
    schema
}

struct Writer<'a> {
    types: &'a Types,
    /// Types that are referred to.
    wanted: BTreeSet<String>,
    written: BTreeMap<String, Value>,
}

impl Writer<'_> {
    fn shape(&mut self, described: &Described) -> Value {
        let mut schema = match &described.shape {
            Shape::Table(keys) => self.table(keys),
            Shape::Choice(variants) => self.choice(variants),
            Shape::Alias(inner) => self.form(inner),
        };
        describe(&mut schema, &described.docs);
        schema
    }

    fn table(&mut self, keys: &[Key]) -> Value {
        let mut properties = Map::new();
        for key in keys {
            let mut schema = self.form(&key.form);
            describe(&mut schema, &key.docs);
            properties.insert(key.name.clone(), schema);
        }
        let required: Vec<&str> =
            keys.iter().filter(|key| key.is_required).map(|key| key.name.as_str()).collect();
        json!({
            "type": "object",
            "additionalProperties": false,
            "properties": properties,
            "required": required,
        })
    }

    fn choice(&mut self, variants: &[Variant]) -> Value {
        let all: Vec<Value> = variants.iter().map(|variant| self.variant(variant)).collect();
        json!({ "oneOf": all })
    }

    fn variant(&mut self, variant: &Variant) -> Value {
        let mut schema = match &variant.form {
            None => json!({ "const": variant.name }),
            Some(form) => json!({
                "type": "object",
                "additionalProperties": false,
                "properties": { &variant.name: self.form(form) },
                "required": [&variant.name],
            }),
        };
        describe(&mut schema, &variant.docs);
        schema
    }

    fn form(&mut self, form: &Form) -> Value {
        match form {
            Form::List(inner) => json!({ "type": "array", "items": self.form(inner) }),
            Form::Map(inner) => {
                json!({ "type": "object", "additionalProperties": self.form(inner) })
            }
            Form::Named(name) if self.types.0.contains_key(name) => {
                self.wanted.insert(name.clone());
                json!({ "$ref": format!("#/$defs/{name}") })
            }
            Form::Named(name) => leaf(name).1,
        }
    }
}

fn describe(schema: &mut Value, docs: &str) {
    if !docs.is_empty() {
        schema["description"] = json!(docs);
    }
}
