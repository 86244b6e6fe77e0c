//! Writes the fields of the API's messages and the numbers of its enums as tables, for expressions that name them.

use std::fmt::Write as _;

use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, EnumDescriptorProto, FileDescriptorSet};

/// The tables of the package of flows.
pub(crate) fn generate(files: &FileDescriptorSet) -> anyhow::Result<String> {
    let mut tables = Tables::default();
    for file in files.file.iter().filter(|f| f.package() == "flow") {
        file.message_type.iter().try_for_each(|m| tables.message(m, ""))?;
        file.enum_type.iter().try_for_each(|e| tables.enumeration(e, ""))?;
    }
    Ok(format!(
        "pub(super) static SHAPES: &[Shape] = &[\n{}];\npub(super) static ENUMS: &[(&str, i64)] = &[\n{}];\n",
        tables.messages, tables.enums
    ))
}

/// As a literal is written: 150_000.
fn separated(number: i32) -> String {
    let (thousands, rest) = (number / 1000, number % 1000);
    if thousands == 0 { rest.to_string() } else { format!("{thousands}_{rest:03}") }
}

#[derive(Default)]
struct Tables {
    messages: String,
    enums: String,
}

impl Tables {
    fn message(&mut self, message: &DescriptorProto, outer: &str) -> anyhow::Result<()> {
        let name = format!("{outer}{}", message.name());
        writeln!(self.messages, "    Shape {{ name: {name:?}, fields: &[")?;
        for field in &message.field {
            let of = field.type_name().trim_start_matches(".flow.");
            let kind = match field.r#type() {
                Type::Bool => "Kind::Bool".to_owned(),
                Type::Int32 | Type::Int64 | Type::Enum => "Kind::Int".to_owned(),
                Type::Uint32 | Type::Uint64 => "Kind::Uint".to_owned(),
                Type::String => "Kind::Text".to_owned(),
                Type::Message if of == ".google.protobuf.Timestamp" => "Kind::Time".to_owned(),
                Type::Message if of == ".google.protobuf.BoolValue" => "Kind::MaybeBool".to_owned(),
                Type::Message if of == ".google.protobuf.Int32Value" => "Kind::MaybeInt".to_owned(),
                Type::Message if of == ".google.protobuf.UInt32Value" => "Kind::MaybeUint".to_owned(),
                Type::Message if of.starts_with('.') => "Kind::Any".to_owned(),
                Type::Message => format!("Kind::Message({of:?})"),
                other => anyhow::bail!("{name}.{}: {other:?} is new here", field.name()),
            };
            let list = field.label() == Label::Repeated;
            let (field, number) = (field.name(), separated(field.number()));
            writeln!(
                self.messages,
                "        Field {{ name: {field:?}, number: {number}, kind: {kind}, list: {list} }},"
            )?;
        }
        writeln!(self.messages, "    ] }},")?;
        let inside = format!("{name}.");
        message.nested_type.iter().try_for_each(|m| self.message(m, &inside))?;
        message.enum_type.iter().try_for_each(|e| self.enumeration(e, &inside))
    }

    fn enumeration(&mut self, one: &EnumDescriptorProto, outer: &str) -> anyhow::Result<()> {
        for value in &one.value {
            let name = format!("{outer}{}.{}", one.name(), value.name());
            writeln!(self.enums, "    ({name:?}, {}),", value.number())?;
        }
        Ok(())
    }
}
