//! What most expressions ask of a flow (fields beside constants, joined by `&&`, `||` and `!`) told from the flow itself. Only what is
//! beyond that is left to the interpreter, for which the flow is encoded.

use std::sync::Arc;

use cel::IdedExpr;
use cel::common::ast::{CallExpr, Expr, LiteralValue, SelectExpr, operators};
use regex::Regex;

use super::patterns::MATCHES;
use super::schema::{Kind, Shape};
use super::see::{See, Seen};
use super::value::{Moment, PRESENT};
use super::{Subject, constant};
use crate::filter::pattern::bounded;
use crate::proto::flow::Flow;

/// An expression that the checker let through, taken apart.
pub(in crate::filter) enum Direct {
    Const(bool),
    Both([Arc<Self>; 2]),
    Either([Arc<Self>; 2]),
    Not(Arc<Self>),
    Is(Path),
    Has(Path),
    Compare(Comparison, Operand, Operand),
    OneOf(Operand, Vec<Scalar>),
    Text(Path, TextTest),
    /// For the interpreter.
    Rest(IdedExpr),
}

/// A field, by the indices of those that lead to it.
pub(in crate::filter) struct Path {
    indices: Vec<usize>,
    pub(super) names: Vec<&'static str>,
    kind: Kind,
}

#[derive(Clone, Copy)]
pub(in crate::filter) enum Comparison {
    Equal,
    Unequal,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
}

pub(in crate::filter) enum Operand {
    Path(Path),
    Value(Scalar),
}

#[derive(Debug, PartialEq)]
pub(in crate::filter) enum Scalar {
    Bool(bool),
    Int(i64),
    Uint(u64),
    Text(String),
    Time(Moment),
}

/// The same, as a flow has it. Types are those that the checker found to fit.
#[derive(PartialEq, PartialOrd)]
enum Value<'a> {
    Bool(bool),
    Int(i64),
    Uint(u64),
    Text(&'a str),
    Time(Moment),
}

pub(in crate::filter) enum TextTest {
    Contains(String),
    StartsWith(String),
    EndsWith(String),
    Matches(Regex),
}

impl Direct {
    /// Takes what it knows, and leaves the rest as it is.
    pub(super) fn new(expression: IdedExpr) -> Self {
        Self::of(&expression).unwrap_or(Self::Rest(expression))
    }

    fn of(expression: &IdedExpr) -> Option<Self> {
        match &expression.expr {
            Expr::Literal(LiteralValue::Boolean(is)) => Some(Self::Const(*is.inner())),
            Expr::Select(_) => {
                let (path, has) = path(expression)?;
                match (has, path.kind) {
                    (true, _) => Some(Self::Has(path)),
                    (false, Kind::Bool) => Some(Self::Is(path)),
                    _ => None,
                }
            }
            Expr::Call(call) => Self::call(call),
            _ => None,
        }
    }

    fn call(call: &CallExpr) -> Option<Self> {
        let new = |of: &IdedExpr| Arc::new(Self::new(of.clone()));
        let sides = |a: &IdedExpr, b: &IdedExpr| [new(a), new(b)];
        match (call.func_name.as_str(), &call.target, &call.args[..]) {
            (operators::LOGICAL_AND, None, [a, b]) => Some(Self::Both(sides(a, b))),
            (operators::LOGICAL_OR, None, [a, b]) => Some(Self::Either(sides(a, b))),
            (operators::LOGICAL_NOT, None, [a]) => Some(Self::Not(new(a))),
            (operators::IN, None, [one, list]) => {
                let Expr::List(list) = &list.expr else { return None };
                let all = list.elements.iter().map(literal).collect::<Option<Vec<_>>>()?;
                Some(Self::OneOf(operand(one)?, all))
            }
            (MATCHES, None, [text, argument]) => Self::text(MATCHES, text, argument),
            (name, Some(text), [argument]) => Self::text(name, text, argument),
            (name, None, [a, b]) => {
                Some(Self::Compare(comparison(name)?, operand(a)?, operand(b)?)).filter(Self::is_of_one_type)
            }
            _ => None,
        }
    }

    /// A test of a field against a text that is written out.
    fn text(name: &str, text: &IdedExpr, argument: &IdedExpr) -> Option<Self> {
        let (path, has) = path(text)?;
        let Some(Scalar::Text(wanted)) = literal(argument) else { return None };
        let test = match name {
            "contains" => TextTest::Contains(wanted),
            "startsWith" => TextTest::StartsWith(wanted),
            "endsWith" => TextTest::EndsWith(wanted),
            MATCHES => TextTest::Matches(bounded(&wanted).ok()?),
            _ => return None,
        };
        (!has && path.kind == Kind::Text).then_some(Self::Text(path, test))
    }

    /// What needs no flow is told now, unless it can't be told.
    pub(super) fn folded(self) -> Self {
        let mut looks = false;
        self.look(&mut |_, _| looks = true);
        let told = if looks { None } else { self.is_true(&Subject::new(&Flow::default())) };
        told.map_or(self, Self::Const)
    }

    /// Numbers of different types are the interpreter's.
    fn is_of_one_type(&self) -> bool {
        let Self::Compare(_, a, b) = self else { return true };
        a.kind() == b.kind()
    }

    /// `None`: it can't be told, which an `&&` or an `||` may make up for.
    pub(in crate::filter) fn is_true(&self, subject: &Subject<'_>) -> Option<bool> {
        match self {
            Self::Const(is) => Some(*is),
            Self::Both(sides) => match sides[0].is_true(subject) {
                Some(false) => Some(false),
                first => match (first, sides[1].is_true(subject)) {
                    (_, Some(false)) => Some(false),
                    (Some(true), second) => second,
                    _ => None,
                },
            },
            Self::Either(sides) => match sides[0].is_true(subject) {
                Some(true) => Some(true),
                first => match (first, sides[1].is_true(subject)) {
                    (_, Some(true)) => Some(true),
                    (Some(false), second) => second,
                    _ => None,
                },
            },
            Self::Not(of) => of.is_true(subject).map(|is| !is),
            Self::Is(path) => Some(matches!(path.see(subject.flow), Seen::Bool(true))),
            Self::Has(path) => Some(!matches!(path.see(subject.flow), Seen::Unset)),
            Self::Compare(how, a, b) => {
                let (a, b) = (a.value(subject.flow), b.value(subject.flow));
                Some(match how {
                    Comparison::Equal => a == b,
                    Comparison::Unequal => a != b,
                    Comparison::Less => a < b,
                    Comparison::LessEqual => a <= b,
                    Comparison::Greater => a > b,
                    Comparison::GreaterEqual => a >= b,
                })
            }
            Self::OneOf(one, all) => {
                let one = one.value(subject.flow);
                Some(all.iter().any(|of| of.value() == one))
            }
            Self::Text(path, test) => {
                let text = match path.see(subject.flow) {
                    Seen::Text(text) => text,
                    _ => "",
                };
                Some(match test {
                    TextTest::Contains(part) => text.contains(part.as_str()),
                    TextTest::StartsWith(part) => text.starts_with(part.as_str()),
                    TextTest::EndsWith(part) => text.ends_with(part.as_str()),
                    TextTest::Matches(pattern) => pattern.is_match(text),
                })
            }
            Self::Rest(expression) => subject.interpret(expression),
        }
    }

    /// Whether nothing is left to the interpreter.
    #[cfg(test)]
    pub(super) fn is_whole(&self) -> bool {
        match self {
            Self::Both(sides) | Self::Either(sides) => sides.iter().all(|side| side.is_whole()),
            Self::Not(of) => of.is_whole(),
            Self::Rest(_) => false,
            _ => true,
        }
    }
}

fn comparison(name: &str) -> Option<Comparison> {
    Some(match name {
        operators::EQUALS => Comparison::Equal,
        operators::NOT_EQUALS => Comparison::Unequal,
        operators::LESS => Comparison::Less,
        operators::LESS_EQUALS => Comparison::LessEqual,
        operators::GREATER => Comparison::Greater,
        operators::GREATER_EQUALS => Comparison::GreaterEqual,
        _ => return None,
    })
}

fn literal(expression: &IdedExpr) -> Option<Scalar> {
    match &expression.expr {
        Expr::Literal(LiteralValue::Boolean(is)) => Some(Scalar::Bool(*is.inner())),
        Expr::Literal(LiteralValue::Int(number)) => Some(Scalar::Int(*number.inner())),
        Expr::Literal(LiteralValue::UInt(number)) => Some(Scalar::Uint(*number.inner())),
        Expr::Literal(LiteralValue::String(text)) => Some(Scalar::Text(text.inner().to_owned())),
        Expr::Call(CallExpr { func_name, target: None, args }) => {
            let [of] = &args[..] else { return None };
            if func_name == "timestamp" {
                literal(of)?;
                return match constant(expression) {
                    Some(cel::Value::Timestamp(time)) => Some(Scalar::Time(time)),
                    _ => None,
                };
            }
            // A number that does not fit is an error, which the interpreter tells.
            match (func_name.as_str(), literal(of)?) {
                ("uint", Scalar::Int(number)) => u64::try_from(number).ok().map(Scalar::Uint),
                ("int", Scalar::Uint(number)) => i64::try_from(number).ok().map(Scalar::Int),
                ("uint", same @ Scalar::Uint(_)) | ("int", same @ Scalar::Int(_)) => Some(same),
                _ => None,
            }
        }
        _ => None,
    }
}

fn operand(expression: &IdedExpr) -> Option<Operand> {
    if let Some(value) = literal(expression) {
        return Some(Operand::Value(value));
    }
    let (path, has) = path(expression)?;
    let scalar = matches!(path.kind, Kind::Bool | Kind::Int | Kind::Uint | Kind::Text | Kind::Time);
    (!has && scalar).then_some(Operand::Path(path))
}

/// The field of `_flow.a.b`, and whether `has()` asks for it.
fn path(expression: &IdedExpr) -> Option<(Path, bool)> {
    let Expr::Select(SelectExpr { operand, field, test: false }) = &expression.expr else { return None };
    let (mut indices, mut names, shape) = match &operand.expr {
        Expr::Ident(name) if name == "_flow" => (Vec::new(), Vec::new(), Shape::of("Flow")?),
        _ => {
            let (path, has) = path(operand)?;
            let Kind::Message(name) = path.kind else { return None };
            if has {
                return None;
            }
            (path.indices, path.names, Shape::of(name)?)
        }
    };
    let bare = field.strip_prefix(PRESENT);
    let name = bare.unwrap_or(field);
    let index = shape.fields.iter().position(|f| f.name == name)?;
    let of = &shape.fields[index];
    indices.push(index);
    names.push(of.name);
    // A list is set or not; its elements are the interpreter's.
    (!of.list || bare.is_some()).then_some((Path { indices, names, kind: of.kind }, bare.is_some()))
}

impl Path {
    fn see<'a>(&self, flow: &'a dyn See) -> Seen<'a> {
        let mut at = flow;
        let mut seen = Seen::Unset;
        for (i, index) in self.indices.iter().enumerate() {
            seen = at.see(*index);
            match seen {
                Seen::Message(message) => at = message,
                // Within what is not there, nothing is.
                _ if i + 1 < self.indices.len() => return Seen::Unset,
                _ => {}
            }
        }
        seen
    }
}

impl Operand {
    fn kind(&self) -> Kind {
        match self {
            Self::Path(path) => path.kind,
            Self::Value(Scalar::Bool(_)) => Kind::Bool,
            Self::Value(Scalar::Int(_)) => Kind::Int,
            Self::Value(Scalar::Uint(_)) => Kind::Uint,
            Self::Value(Scalar::Text(_)) => Kind::Text,
            Self::Value(Scalar::Time(_)) => Kind::Time,
        }
    }

    fn value<'a>(&'a self, flow: &'a dyn See) -> Value<'a> {
        let path = match self {
            Self::Value(value) => return value.value(),
            Self::Path(path) => path,
        };
        match (path.kind, path.see(flow)) {
            (_, Seen::Bool(is)) => Value::Bool(is),
            (_, Seen::Int(number)) => Value::Int(number),
            (_, Seen::Uint(number)) => Value::Uint(number),
            (_, Seen::Text(text)) => Value::Text(text),
            (_, Seen::Time(time)) => Value::Time(time),
            (Kind::Bool, _) => Value::Bool(false),
            (Kind::Int, _) => Value::Int(0),
            (Kind::Uint, _) => Value::Uint(0),
            (Kind::Time, _) => Value::Time(Moment::default()),
            _ => Value::Text(""),
        }
    }
}

impl Scalar {
    fn value(&self) -> Value<'_> {
        match self {
            Self::Bool(is) => Value::Bool(*is),
            Self::Int(number) => Value::Int(*number),
            Self::Uint(number) => Value::Uint(*number),
            Self::Text(text) => Value::Text(text),
            Self::Time(time) => Value::Time(*time),
        }
    }
}
