//! Writes, from the API's definitions, how each message is written to JSON, read from it and masked: `wire::codec::Message`.
//!
//! Names in Rust are prost's, which come from the same crate (heck).

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use anyhow::{Context as _, bail, ensure};
use heck::{ToShoutySnakeCase as _, ToSnakeCase as _, ToUpperCamelCase as _};
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorSet};

/// The code for all messages of all packages but Google's.
pub(crate) fn generate(files: &FileDescriptorSet) -> anyhow::Result<String> {
    let mut code = Code::default();
    for file in &files.file {
        let package = file.package();
        if package.starts_with("google.") {
            continue;
        }
        let scope = Scope { name: package.to_owned(), path: format!("crate::proto::{}", ident(package)) };
        for message in &file.message_type {
            code.message(message, &scope)?;
        }
        for one in &file.enum_type {
            code.enumeration(one, &scope)?;
        }
    }
    code.registry()?;
    Ok(code.out)
}

/// Where a message or enum is declared.
struct Scope {
    /// Its full name in protobuf.
    name: String,
    /// Its path in Rust.
    path: String,
}

#[derive(Default)]
struct Code {
    out: String,
    /// Full name and path of every message.
    messages: BTreeMap<String, String>,
}

/// One field, as Rust has it.
struct Field<'a> {
    index: usize,
    proto: &'a FieldDescriptorProto,
    /// Index of its oneof.
    oneof: Option<i32>,
}

impl Field<'_> {
    fn list(&self) -> bool {
        self.proto.label() == Label::Repeated
    }

    fn member(&self) -> String {
        format!("self.{}", ident(&self.proto.name().to_snake_case()))
    }

    /// The table of an enum's names; `None`: it is no enum.
    fn names(&self) -> Option<String> {
        (self.proto.r#type() == Type::Enum).then(|| format!("&{}", table(self.proto.type_name())))
    }

    /// What stands in its JSON: a `Kind`.
    fn kind(&self) -> String {
        let of_google = match (self.proto.r#type(), self.proto.type_name()) {
            (Type::String, _) => "Text",
            (Type::Bool, _) | (Type::Message, ".google.protobuf.BoolValue") => "Bool",
            (Type::Uint32, _) | (Type::Message, ".google.protobuf.UInt32Value") => "Uint32",
            (Type::Int32, _) | (Type::Message, ".google.protobuf.Int32Value") => "Int32",
            (Type::Uint64, _) => "Uint64",
            (Type::Message, ".google.protobuf.Timestamp") => "Time",
            (Type::Message, ".google.protobuf.Any") => "Any",
            (Type::Enum, name) => return format!("Kind::Enum(&{})", table(name)),
            (Type::Message, name) if !name.starts_with(".google.") => {
                return format!("Kind::Message(&{})", table(name));
            }
            _ => "Other",
        };
        format!("Kind::{of_google}")
    }

    /// The static that describes the fields within; `None`: it has none.
    fn inner(&self) -> Option<String> {
        (self.proto.r#type() == Type::Message && !self.list()).then(|| table(self.proto.type_name()))
    }
}

impl Code {
    fn message(&mut self, message: &DescriptorProto, scope: &Scope) -> anyhow::Result<()> {
        let full = format!("{}.{}", scope.name, message.name());
        let path = format!("{}::{}", scope.path, message.name().to_upper_camel_case());
        let nested = Scope {
            name: full.clone(),
            path: format!("{}::{}", scope.path, ident(&message.name().to_snake_case())),
        };
        for inner in &message.nested_type {
            self.message(inner, &nested)?;
        }
        for one in &message.enum_type {
            self.enumeration(one, &nested)?;
        }
        ensure!(message.field.len() < 64, "{full} has too many fields for a set of bits");
        let fields: Vec<Field<'_>> = message
            .field
            .iter()
            .enumerate()
            .map(|(index, proto)| Field { index, proto, oneof: proto.oneof_index })
            .collect();
        self.fields(&full, &fields)?;
        writeln!(self.out, "impl Message for {path} {{")?;
        writeln!(self.out, "const NAME: &'static str = {full:?};")?;
        writeln!(self.out, "fn fields() -> &'static [Field] {{ &{} }}", table(&full))?;
        self.write_fields(&fields, message, &nested)?;
        self.read_field(&fields, message, &nested)?;
        self.keep(&fields, message, &nested)?;
        writeln!(self.out, "}}\nmessage_value!({path});")?;
        self.messages.insert(full, path);
        Ok(())
    }

    fn fields(&mut self, full: &str, fields: &[Field<'_>]) -> fmt::Result {
        writeln!(self.out, "pub(super) static {}: [Field; {}] = [", table(full), fields.len())?;
        for field in fields {
            let (name, json) = (field.proto.name(), field.proto.json_name());
            let key = format!("\"{name}\":");
            write!(self.out, "Field::new({name:?}, {json:?}, {key:?}, {})", field.kind())?;
            if let Some(inner) = field.inner() {
                write!(self.out, ".within(&{inner})")?;
            }
            if field.list() {
                write!(self.out, ".list()")?;
            } else if let Some(oneof) = field.oneof {
                write!(self.out, ".of({oneof})")?;
            } else if field.proto.r#type() == Type::Message {
                write!(self.out, ".always()")?;
            }
            writeln!(self.out, ",")?;
        }
        writeln!(self.out, "];")
    }

    fn write_fields(
        &mut self,
        fields: &[Field<'_>],
        message: &DescriptorProto,
        nested: &Scope,
    ) -> anyhow::Result<()> {
        let out = if fields.is_empty() { "_out" } else { "out" };
        writeln!(self.out, "fn write_fields(&self, {out}: &mut String) -> Result<(), JsonError> {{")?;
        for field in fields {
            let key = format!("{:?}", format!("\"{}\":", field.proto.name()));
            if let Some(oneof) = field.oneof {
                let (slot, variant) = slot(field, oneof, message, nested)?;
                writeln!(
                    self.out,
                    "if let Some({variant}(v)) = &{slot} {{ write_always({key}, v, out)?; }}"
                )?;
                continue;
            }
            let member = field.member();
            match field.names() {
                Some(names) => writeln!(self.out, "EnumSlot::write({key}, &{member}, {names}, out);")?,
                None => writeln!(self.out, "Slot::write({key}, &{member}, out)?;")?,
            }
        }
        writeln!(self.out, "Ok(()) }}")?;
        Ok(())
    }

    fn read_field(
        &mut self,
        fields: &[Field<'_>],
        message: &DescriptorProto,
        nested: &Scope,
    ) -> anyhow::Result<()> {
        let input = if fields.is_empty() { "_input" } else { "input" };
        writeln!(
            self.out,
            "fn read_field(&mut self, index: usize, {input}: &mut Reader<'_>) -> Result<(), JsonError> {{ match index {{"
        )?;
        for field in fields {
            write!(self.out, "{} => ", field.index)?;
            if let Some(oneof) = field.oneof {
                let (slot, variant) = slot(field, oneof, message, nested)?;
                writeln!(
                    self.out,
                    "{{ if {slot}.is_some() {{ return Err(input.second_of_oneof()); }} \
                     {slot} = Some({variant}(Value::read(input)?)); Ok(()) }}"
                )?;
                continue;
            }
            let member = field.member();
            match field.names() {
                Some(names) => writeln!(self.out, "EnumSlot::read(&mut {member}, {names}, input),")?,
                None => writeln!(self.out, "Slot::read(&mut {member}, input),")?,
            }
        }
        writeln!(self.out, "_ => Ok(()), }} }}")?;
        Ok(())
    }

    fn keep(
        &mut self,
        fields: &[Field<'_>],
        message: &DescriptorProto,
        nested: &Scope,
    ) -> anyhow::Result<()> {
        let tree = if fields.is_empty() { "_tree" } else { "tree" };
        writeln!(self.out, "fn keep(&mut self, {tree}: &Tree) {{")?;
        for field in fields {
            let index = field.index;
            if let Some(oneof) = field.oneof {
                let (slot, variant) = slot(field, oneof, message, nested)?;
                writeln!(
                    self.out,
                    "if let Some({variant}(v)) = &mut {slot} && !keep_one(v, tree.at({index})) {{ {slot} = None; }}"
                )?;
                continue;
            }
            let (member, slot) = (field.member(), if field.names().is_some() { "EnumSlot" } else { "Slot" });
            writeln!(self.out, "{slot}::keep(&mut {member}, tree.at({index}));")?;
        }
        writeln!(self.out, "}}")?;
        Ok(())
    }

    fn enumeration(&mut self, one: &EnumDescriptorProto, scope: &Scope) -> anyhow::Result<()> {
        let full = format!("{}.{}", scope.name, one.name());
        let names: BTreeMap<i32, &str> = one.value.iter().map(|v| (v.number(), v.name())).collect();
        if names.len() != one.value.len() {
            bail!("{full} has two names for one number");
        }
        writeln!(self.out, "/// Names of `{full}`.\npub static {}: Names = Names(&[", table(&full))?;
        for (number, name) in names {
            writeln!(self.out, "({number}, {name:?}),")?;
        }
        writeln!(self.out, "]);")?;
        Ok(())
    }

    /// What an Any may hold.
    fn registry(&mut self) -> fmt::Result {
        writeln!(self.out, "pub(super) fn embedded(name: &str) -> Option<Embedded> {{ Some(match name {{")?;
        for (name, path) in &self.messages {
            writeln!(self.out, "{name:?} => Embedded::of_message::<{path}>(),")?;
        }
        writeln!(self.out, "_ => return None, }}) }}")
    }
}

/// Where a oneof's field is kept, and its variant.
fn slot(
    field: &Field<'_>,
    oneof: i32,
    message: &DescriptorProto,
    nested: &Scope,
) -> anyhow::Result<(String, String)> {
    let oneof = usize::try_from(oneof).ok().and_then(|i| message.oneof_decl.get(i));
    let name = oneof.context("a field names a oneof that is not there")?.name();
    let variant = field.proto.name().to_upper_camel_case();
    Ok((
        format!("self.{}", ident(&name.to_snake_case())),
        format!("{}::{}::{variant}", nested.path, name.to_upper_camel_case()),
    ))
}

/// Name of the static of a message's fields or an enum's names.
fn table(full: &str) -> String {
    full.trim_start_matches('.').replace('.', "_").to_shouty_snake_case()
}

/// A name that is a keyword, as prost writes it.
pub(crate) fn ident(name: &str) -> String {
    match name {
        "type" | "match" | "ref" | "move" | "use" | "where" | "in" | "loop" => format!("r#{name}"),
        _ => name.to_owned(),
    }
}
