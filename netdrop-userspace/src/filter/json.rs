//! Values of filters as protobuf's JSON has them: enums by name or number, numbers also as strings, `null` for what is not set.

use std::fmt;

use serde::de::{Deserializer, Error, SeqAccess, Unexpected, Visitor};
use serde::{Deserialize, Serialize as _};

use crate::proto::flow as wire;
use crate::wire::json::number;

/// What is not set, or `null`, is the default.
pub(super) fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// A number that fits into `T`, given as one or as a string that begins with one, as Go takes it.
struct Whole<T>(T);

impl<'de, T: TryFrom<i128>> Deserialize<'de> for Whole<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(WholeVisitor(std::marker::PhantomData)).map(Self)
    }
}

struct WholeVisitor<T>(std::marker::PhantomData<T>);

impl<T: TryFrom<i128>> Visitor<'_> for WholeVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number that fits")
    }

    fn visit_u64<E: Error>(self, n: u64) -> Result<T, E> {
        T::try_from(n.into()).map_err(|_| E::invalid_value(Unexpected::Unsigned(n), &self))
    }

    fn visit_i64<E: Error>(self, n: i64) -> Result<T, E> {
        T::try_from(n.into()).map_err(|_| E::invalid_value(Unexpected::Signed(n), &self))
    }

    /// `5.0` and `5e0` are whole, too.
    fn visit_f64<E: Error>(self, n: f64) -> Result<T, E> {
        let whole = (n.fract() == 0.0 && n.abs() < 1e19).then(|| format!("{n:.0}"));
        whole
            .and_then(|text| text.parse::<i128>().ok())
            .and_then(|n| T::try_from(n).ok())
            .ok_or_else(|| E::invalid_value(Unexpected::Float(n), &self))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        number::quoted(text)
            .and_then(number::whole::<i128>)
            .and_then(|n| T::try_from(n).ok())
            .ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
    }
}

/// One number.
pub(super) fn number<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: TryFrom<i128> + Default,
{
    Ok(Option::<Whole<T>>::deserialize(deserializer)?.map(|n| n.0).unwrap_or_default())
}

/// A list of numbers.
pub(super) fn numbers<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: TryFrom<i128>,
{
    let list = Option::<Vec<Whole<T>>>::deserialize(deserializer)?.unwrap_or_default();
    Ok(list.into_iter().map(|n| n.0).collect())
}

/// 64 bits do not fit into JavaScript's numbers: they are written as strings.
#[expect(clippy::ptr_arg, reason = "serde's signature")]
pub(super) fn long_numbers<S: serde::Serializer>(
    numbers: &Vec<u64>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(numbers.iter().map(ToString::to_string))
}

/// An enum of the API, whose values travel as numbers that need not be known.
pub(super) trait Names {
    /// As an error names it.
    const WHAT: &'static str;

    fn name(number: i32) -> Option<&'static str>;

    fn number(name: &str) -> Option<i32>;
}

/// Reads and writes lists of an enum.
pub(super) struct EnumList<N>(Vec<i32>, std::marker::PhantomData<N>);

impl<'de, N: Names> Deserialize<'de> for EnumList<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let list = deserializer.deserialize_any(ListVisitor(std::marker::PhantomData::<N>))?;
        Ok(Self(list, std::marker::PhantomData))
    }
}

struct ListVisitor<N>(std::marker::PhantomData<N>);

impl<'de, N: Names> Visitor<'de> for ListVisitor<N> {
    type Value = Vec<i32>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list of {}", N::WHAT)
    }

    fn visit_unit<E: Error>(self) -> Result<Vec<i32>, E> {
        Ok(Vec::new())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<i32>, A::Error> {
        let mut list = Vec::new();
        while let Some(one) = seq.next_element::<One<N>>()? {
            list.push(one.0);
        }
        Ok(list)
    }
}

struct One<N>(i32, std::marker::PhantomData<N>);

impl<'de, N: Names> Deserialize<'de> for One<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = deserializer.deserialize_any(OneVisitor(std::marker::PhantomData::<N>))?;
        Ok(Self(number, std::marker::PhantomData))
    }
}

struct OneVisitor<N>(std::marker::PhantomData<N>);

impl<N: Names> Visitor<'_> for OneVisitor<N> {
    type Value = i32;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the name or number of one of {}", N::WHAT)
    }

    fn visit_u64<E: Error>(self, n: u64) -> Result<i32, E> {
        i32::try_from(n).map_err(|_| E::invalid_value(Unexpected::Unsigned(n), &self))
    }

    fn visit_i64<E: Error>(self, n: i64) -> Result<i32, E> {
        i32::try_from(n).map_err(|_| E::invalid_value(Unexpected::Signed(n), &self))
    }

    fn visit_f64<E: Error>(self, n: f64) -> Result<i32, E> {
        WholeVisitor(std::marker::PhantomData).visit_f64(n)
    }

    /// A number in quotes is no name.
    fn visit_str<E: Error>(self, name: &str) -> Result<i32, E> {
        N::number(name).ok_or_else(|| E::invalid_value(Unexpected::Str(name), &self))
    }
}

macro_rules! enums {
    ($($module:ident: $kind:ty = $what:literal),*) => { $(
        impl Names for $kind {
            const WHAT: &'static str = $what;

            fn name(number: i32) -> Option<&'static str> {
                Self::try_from(number).ok().map(|e| e.as_str_name())
            }

            fn number(name: &str) -> Option<i32> {
                Self::from_str_name(name).map(Into::into)
            }
        }

        /// The list of an enum, for `#[serde(with)]`.
        pub(super) mod $module {
            use super::{EnumList, write};
            use crate::proto::flow as wire;
            use serde::Deserialize as _;

            pub(in crate::filter) fn deserialize<'de, D: serde::Deserializer<'de>>(d: D) -> Result<Vec<i32>, D::Error> {
                EnumList::<$kind>::deserialize(d).map(|list| list.0)
            }

            pub(in crate::filter) fn serialize<S: serde::Serializer>(list: &[i32], s: S) -> Result<S::Ok, S::Error> {
                write::<$kind, S>(list, s)
            }
        }
    )* };
}

enums! {
    verdicts: wire::Verdict = "verdicts (FORWARDED, DROPPED ...)",
    drop_reasons: wire::DropReason = "Hubble's drop reasons (POLICY_DENIED ...)",
    directions: wire::TrafficDirection = "directions (INGRESS, EGRESS)",
    ip_versions: wire::IpVersion = "IP versions (IPv4, IPv6, IP_NOT_USED)"
}

fn write<N: Names, S: serde::Serializer>(list: &[i32], serializer: S) -> Result<S::Ok, S::Error> {
    use serde::ser::SerializeSeq as _;
    let mut seq = serializer.serialize_seq(Some(list.len()))?;
    for number in list {
        match N::name(*number) {
            Some(name) => seq.serialize_element(name)?,
            None => seq.serialize_element(number)?,
        }
    }
    seq.end()
}

/// A filter as the client writes it: compact, with the characters that HTML minds escaped.
pub(super) fn escaped(filter: &super::FlowFilter) -> serde_json::Result<String> {
    let mut text = Vec::new();
    filter.serialize(&mut serde_json::Serializer::new(&mut text))?;
    let mut out = String::with_capacity(text.len());
    // These occur inside of strings only.
    for c in String::from_utf8_lossy(&text).chars() {
        match c {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => out.push_str(&crate::go::escaped('u', 4, c)),
            c => out.push(c),
        }
    }
    Ok(out)
}

/// Several filters, one after the other.
pub(super) fn several(text: &str) -> serde_json::Result<Vec<super::FlowFilter>> {
    for value in serde_json::Deserializer::from_str(text).into_iter::<serde_json::Value>() {
        if !is_filter(&value?) {
            return Err(serde_json::Error::custom("expected an object, as {\"verdict\":[\"DROPPED\"]}"));
        }
    }
    serde_json::Deserializer::from_str(text).into_iter().collect()
}

/// Lists are no messages, though they could be read as the values of one.
fn is_filter(value: &serde_json::Value) -> bool {
    const MESSAGES: [&str; 7] = [
        "source_workload",
        "destination_workload",
        "interface",
        "event_type",
        "http_header",
        "tcp_flags",
        "experimental",
    ];
    let Some(fields) = value.as_object() else { return false };
    fields.iter().all(|(name, value)| {
        let snake = name.chars().fold(String::new(), |mut all, c| {
            all.extend(c.is_ascii_uppercase().then_some('_'));
            all.push(c.to_ascii_lowercase());
            all
        });
        match value {
            serde_json::Value::Array(_) if snake == "experimental" => false,
            serde_json::Value::Array(all) if MESSAGES.contains(&snake.as_str()) => {
                all.iter().all(serde_json::Value::is_object)
            }
            _ => true,
        }
    })
}

#[cfg(test)]
mod tests {
    use crate::filter::FlowFilter;

    fn of(json: &str) -> Option<FlowFilter> {
        serde_json::from_str(json).ok()
    }

    /// What Hubble's client takes of each, it takes as this number.
    #[test]
    fn quoted_numbers_are_read_as_go_reads_them() {
        for (quoted, number) in [
            ("2", 2),
            ("2e0", 2),
            ("2E+0", 2),
            ("20e-1", 2),
            ("2.5e1", 25),
            ("2.0", 2),
            ("-0", 0),
            ("0e1000000", 0),
            ("2,", 2),
            ("2}", 2),
        ] {
            let filter = of(&format!("{{\"source_identity\":[\"{quoted}\"]}}")).unwrap();
            assert_eq!(filter.source_identity, [number], "{quoted}");
            let filter = of(&format!("{{\"event_type\":[{{\"type\":\"{quoted}\"}}]}}")).unwrap();
            assert_eq!(u32::try_from(filter.event_type[0].kind), Ok(number), "{quoted}");
        }
        let wrong =
            ["", " 2", "2 ", "+2", "02", "0x2", "2.", ".2e1", "2e", "2e-1", "2.5", "4294967296", "1e1000000"];
        for quoted in wrong {
            assert_eq!(of(&format!("{{\"source_identity\":[\"{quoted}\"]}}")), None, "{quoted}");
        }
        assert_eq!(of(r#"{"verdict":[2e0]}"#).unwrap().verdict, [2]);
        assert_eq!(of(r#"{"verdict":["2"]}"#), None);
        assert_eq!(of(r#"{"verdict":["2e0"]}"#), None);
    }
}
