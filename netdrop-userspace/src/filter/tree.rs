//! Filters as questions about one part of a flow each, joined by and, or and not: for whoever has a flow in parts, and wants to know what
//! can't match before it is whole.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use uuid::Uuid;

use super::address::IpMatch;
use super::cel::{Direct, Subject};
use super::compile::{Ask, One};
use super::part::Part;
use super::{Compiled, fields::Side};
use crate::convert::{self, Roots};
use crate::flow::Flow;
use crate::proto::flow as wire;

/// What is known of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Yes,
    No,
    /// It may be either.
    Unknown,
}

impl From<bool> for Answer {
    fn from(is: bool) -> Self {
        if is { Self::Yes } else { Self::No }
    }
}

/// How answers make one.
#[derive(Clone, Debug)]
pub(crate) enum Tree {
    All(Vec<Self>),
    Any(Vec<Self>),
    /// The first that is not no.
    First(Vec<Self>),
    Not(Box<Self>),
    /// The number of a question.
    Leaf(usize),
}

/// One question.
#[derive(Clone, Debug)]
pub(crate) struct Leaf {
    pub(crate) part: Part,
    pub(crate) rule: Rule,
}

/// How it is answered.
#[derive(Clone, Debug)]
pub(crate) enum Rule {
    Ports(Side, Vec<u16>),
    Prefixes(Side, Vec<Prefix>),
    /// `None`: it has none.
    Uuids(Vec<Option<Uuid>>),
    Other(Other),
}

/// By the filter's own rules.
#[derive(Clone, Debug)]
pub(crate) struct Other(Asked);

#[derive(Clone)]
enum Asked {
    Ask(Ask),
    Expression(Arc<Direct>, Roots),
}

impl std::fmt::Debug for Asked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ask(ask) => ask.fmt(f),
            Self::Expression(_, roots) => roots.fmt(f),
        }
    }
}

/// Addresses whose first bits are alike; compared as numbers, since that is done for each record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Prefix {
    v4: bool,
    bits: u128,
    mask: u128,
    /// The address, if it is a single one.
    pub(crate) exact: Option<IpAddr>,
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(v4.to_bits()),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

impl Prefix {
    fn of(net: IpNet) -> Self {
        let (bits, mask) = (number(net.network()), number(net.netmask()));
        let exact = (net.prefix_len() == net.max_prefix_len()).then(|| net.addr());
        Self { v4: net.addr().is_ipv4(), bits, mask, exact }
    }

    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        address.is_ipv4() == self.v4 && number(address) & self.mask == self.bits
    }
}

/// An address that is printed as it is written.
fn printed(text: &str) -> Option<Prefix> {
    let address: IpAddr = text.parse().ok()?;
    (address.to_string() == text).then(|| Prefix::of(address.into()))
}

impl Rule {
    fn of_ask(ask: &Ask) -> Self {
        match ask {
            Ask::Port(side, wanted) => Self::Ports(*side, wanted.clone()),
            Ask::Address(_, wanted) if let Part::Address(side) = Part::of(ask) => {
                let prefix = |m: &IpMatch| match m {
                    IpMatch::Exact(_, address) => address.map(|address| Prefix::of(address.into())),
                    IpMatch::Prefix(net) => Some(Prefix::of(*net)),
                };
                Self::Prefixes(side, wanted.iter().filter_map(prefix).collect())
            }
            Ask::Uuid(wanted) => {
                let uuid = |text: &String| match text.parse::<Uuid>() {
                    Ok(uuid) => (uuid.to_string() == *text).then_some(Some(uuid)),
                    Err(_) => text.is_empty().then_some(None),
                };
                Self::Uuids(wanted.iter().filter_map(uuid).collect())
            }
            ask => Self::Other(Other(Asked::Ask(ask.clone()))),
        }
    }

    fn of_expression(expression: &Arc<Direct>, part: Part) -> Self {
        if let Part::Address(side) = part
            && let Some(texts) = expression.is_one_of()
            && let Some(prefixes) = texts.into_iter().map(printed).collect()
        {
            return Self::Prefixes(side, prefixes);
        }
        Self::Other(Other(Asked::Expression(Arc::clone(expression), expression.roots())))
    }

    /// Ports of which a flow that fits has one, on either side.
    pub(crate) fn ports(&self) -> Option<Vec<u16>> {
        match self {
            Self::Ports(_, wanted) => Some(wanted.clone()),
            Self::Other(Other(Asked::Expression(expression, _))) => expression.ports(),
            _ => None,
        }
    }
}

impl Other {
    /// Of a flow of which that part is known.
    pub(crate) fn answer(&self, flow: &Flow) -> Answer {
        match &self.0 {
            Asked::Ask(ask) => ask.fits(flow).into(),
            Asked::Expression(_, roots) => self.answer_wire(&convert::flow_to_wire_part(flow, *roots)),
        }
    }

    /// Of one of the API of which that part is known.
    pub(crate) fn answer_wire(&self, flow: &wire::Flow) -> Answer {
        match &self.0 {
            Asked::Ask(ask) => ask.fits(flow).into(),
            Asked::Expression(expression, _) => {
                expression.is_true(&Subject::new(flow)).map_or(Answer::Unknown, Answer::from)
            }
        }
    }
}

impl Tree {
    /// The answer, given those of the questions that it takes.
    pub(crate) fn answer(&self, leaf: &mut impl FnMut(usize) -> Answer) -> Answer {
        match self {
            Self::Leaf(number) => leaf(*number),
            Self::Not(of) => match of.answer(leaf) {
                Answer::Yes => Answer::No,
                Answer::No => Answer::Yes,
                Answer::Unknown => Answer::Unknown,
            },
            Self::All(of) => Self::until(of, Answer::No, leaf),
            Self::Any(of) => Self::until(of, Answer::Yes, leaf),
            Self::First(of) => {
                of.iter().map(|one| one.answer(leaf)).find(|is| *is != Answer::No).unwrap_or(Answer::No)
            }
        }
    }

    /// The first that decides; else all were the contrary, or some are not known.
    fn until(of: &[Self], decides: Answer, leaf: &mut impl FnMut(usize) -> Answer) -> Answer {
        let mut unknown = false;
        for one in of {
            match one.answer(leaf) {
                is if is == decides => return decides,
                Answer::Unknown => unknown = true,
                _ => {}
            }
        }
        if unknown { Answer::Unknown } else { Answer::from(decides == Answer::No) }
    }

    /// The same without a list of one.
    fn shorter(self) -> Self {
        match self {
            Self::All(mut of) | Self::Any(mut of) | Self::First(mut of) if of.len() == 1 => of.remove(0),
            other => other,
        }
    }

    fn of(one: &One, leaves: &mut Vec<Leaf>) -> Self {
        let of = |ask: &Ask| match ask {
            Ask::Expression(wanted) => {
                let of = wanted.iter().map(|one| Self::expression(one.expression(), leaves));
                Self::First(of.collect()).shorter()
            }
            ask => Self::leaf(Part::of(ask), Rule::of_ask(ask), leaves),
        };
        Self::All(one.asks.iter().map(of).collect()).shorter()
    }

    fn expression(expression: &Arc<Direct>, leaves: &mut Vec<Leaf>) -> Self {
        match &**expression {
            Direct::Both(sides) => Self::All(sides.iter().map(|s| Self::expression(s, leaves)).collect()),
            Direct::Either(sides) => Self::Any(sides.iter().map(|s| Self::expression(s, leaves)).collect()),
            Direct::Not(of) => Self::Not(Box::new(Self::expression(of, leaves))),
            _ => {
                let part = expression.part();
                Self::leaf(part, Rule::of_expression(expression, part), leaves)
            }
        }
    }

    fn leaf(part: Part, rule: Rule, leaves: &mut Vec<Leaf>) -> Self {
        leaves.push(Leaf { part, rule });
        Self::Leaf(leaves.len() - 1)
    }
}

impl Compiled {
    /// The same as questions. Its answer is what [`Compiled::matches`] says of all but rests.
    pub(crate) fn tree(&self) -> (Tree, Vec<Leaf>) {
        let mut leaves = Vec::new();
        let mut all = Vec::new();
        if !self.allow.is_empty() {
            all.push(Tree::Any(self.allow.iter().map(|one| Tree::of(one, &mut leaves)).collect()).shorter());
        }
        for one in &self.deny {
            all.push(Tree::Not(Box::new(Tree::of(one, &mut leaves))));
        }
        (Tree::All(all).shorter(), leaves)
    }
}
