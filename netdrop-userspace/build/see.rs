//! Writes how an expression looks into each message of flows, by the index of a field.

use std::fmt::Write as _;

use anyhow::Context as _;
use heck::{ToSnakeCase as _, ToUpperCamelCase as _};
use prost_types::{DescriptorProto, FileDescriptorSet};

use crate::codec::ident;

/// `filter::cel::see::See` for all messages of the package of flows.
pub(crate) fn generate(files: &FileDescriptorSet) -> anyhow::Result<String> {
    let mut out = String::new();
    for file in files.file.iter().filter(|f| f.package() == "flow") {
        file.message_type.iter().try_for_each(|m| message(m, "crate::proto::flow", &mut out))?;
    }
    Ok(out)
}

/// `scope` is the path of what it is declared in.
fn message(message: &DescriptorProto, scope: &str, out: &mut String) -> anyhow::Result<()> {
    let nested = format!("{scope}::{}", ident(&message.name().to_snake_case()));
    message.nested_type.iter().try_for_each(|m| self::message(m, &nested, out))?;
    writeln!(out, "impl See for {scope}::{} {{", message.name().to_upper_camel_case())?;
    writeln!(out, "fn see(&self, index: usize) -> Seen<'_> {{ match index {{")?;
    for (index, field) in message.field.iter().enumerate() {
        let Some(oneof) = field.oneof_index else {
            writeln!(out, "{index} => self.{}.seen(),", ident(&field.name().to_snake_case()))?;
            continue;
        };
        let oneof = usize::try_from(oneof).ok().and_then(|i| message.oneof_decl.get(i));
        let oneof = oneof.context("a field names a oneof that is not there")?.name();
        let (slot, kind) = (ident(&oneof.to_snake_case()), oneof.to_upper_camel_case());
        let variant = field.name().to_upper_camel_case();
        writeln!(
            out,
            "{index} => match &self.{slot} {{ Some({nested}::{kind}::{variant}(v)) => Seen::Message(v), _ => Seen::Unset }},"
        )?;
    }
    writeln!(out, "_ => Seen::Unset, }} }} }}")?;
    Ok(())
}
