//! A look at one field of a message, without a copy of it.

use prost_types::{Any, Timestamp};

use super::value::{Moment, moment};

/// A field's value. What has the default of its type is not set, as on the wire.
#[derive(Clone, Copy)]
pub(super) enum Seen<'a> {
    Unset,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Text(&'a str),
    Time(Moment),
    Message(&'a dyn See),
    /// It is set, and nothing that is looked at like this.
    Other,
}

/// A message.
pub(super) trait See {
    /// The field of an index in its [`super::schema::Shape`].
    fn see(&self, index: usize) -> Seen<'_>;
}

/// A field's place in a message.
trait Slot {
    fn seen(&self) -> Seen<'_>;
}

impl<T: See> Slot for Option<T> {
    fn seen(&self) -> Seen<'_> {
        self.as_ref().map_or(Seen::Unset, |message| Seen::Message(message))
    }
}

impl<T> Slot for Vec<T> {
    fn seen(&self) -> Seen<'_> {
        if self.is_empty() { Seen::Unset } else { Seen::Other }
    }
}

macro_rules! scalar {
    ($type:ty, |$value:ident| $seen:expr, $unset:expr) => {
        impl Slot for $type {
            fn seen(&self) -> Seen<'_> {
                let ($value, unset): (_, fn(&$type) -> bool) = (self, $unset);
                if unset($value) { Seen::Unset } else { $seen }
            }
        }
    };
}

scalar!(String, |v| Seen::Text(v), String::is_empty);
scalar!(bool, |v| Seen::Bool(*v), |v| !v);
scalar!(i32, |v| Seen::Int((*v).into()), |v| *v == 0);
scalar!(i64, |v| Seen::Int(*v), |v| *v == 0);
scalar!(u32, |v| Seen::Uint((*v).into()), |v| *v == 0);
scalar!(u64, |v| Seen::Uint(*v), |v| *v == 0);

impl Slot for Option<Timestamp> {
    fn seen(&self) -> Seen<'_> {
        self.as_ref().map_or(Seen::Unset, |time| Seen::Time(moment(time)))
    }
}

/// Google's own types.
macro_rules! other {
    ($($type:ty),*) => {
        $(impl Slot for Option<$type> {
            fn seen(&self) -> Seen<'_> {
                if self.is_some() { Seen::Other } else { Seen::Unset }
            }
        })*
    };
}

other!(Any, bool, i32, u32);

include!(concat!(env!("OUT_DIR"), "/see.rs"));
