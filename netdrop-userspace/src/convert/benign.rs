//! How a client asks a netdrop server for benign drops: a key of the Struct in the request's `extensions`. Any other server leaves it
//! aside, and has none.

use prost::Message as _;
use prost_types::value::Kind;
use prost_types::{Any, Struct, Value};

use super::STRUCT_URL;

/// Key of the Struct.
const KEY: &str = "netdrop_include_benign";

/// Adds the wish to what a request carries already.
pub fn ask_for_benign(any: Option<Any>, include: bool) -> Option<Any> {
    if !include {
        return any;
    }
    let known =
        any.filter(|a| a.type_url == STRUCT_URL).and_then(|a| Struct::decode(a.value.as_slice()).ok());
    let mut facts = known.unwrap_or_default();
    facts.fields.insert(KEY.to_owned(), Value { kind: Some(Kind::BoolValue(true)) });
    Some(Any { type_url: STRUCT_URL.to_owned(), value: facts.encode_to_vec() })
}

/// Whether a request asks for them.
pub fn asks_for_benign(any: Option<&Any>) -> bool {
    let facts =
        any.filter(|a| a.type_url == STRUCT_URL).and_then(|a| Struct::decode(a.value.as_slice()).ok());
    let wish = facts.as_ref().and_then(|facts| facts.fields.get(KEY)).and_then(|value| value.kind.as_ref());
    matches!(wish, Some(Kind::BoolValue(true)))
}

#[cfg(test)]
mod tests {
    use super::super::{filters_from_extension, filters_to_extension};
    use super::*;
    use crate::filter::{Filters, FlowFilter};

    #[test]
    fn the_wish_goes_beside_the_filters() {
        assert_eq!(ask_for_benign(None, false), None);
        assert!(!asks_for_benign(None) && asks_for_benign(ask_for_benign(None, true).as_ref()));
        let own = FlowFilter { netns: vec![7], ..FlowFilter::default() };
        let filters = Filters { allow: vec![own], deny: vec![] };
        let both = ask_for_benign(filters_to_extension(&filters), true);
        assert!(asks_for_benign(both.as_ref()));
        assert_eq!(filters_from_extension(both.as_ref()), Some(Ok(filters.clone())));
        assert!(!asks_for_benign(filters_to_extension(&filters).as_ref()));
    }
}
