//! What type an expression has, before it meets a flow: a name that is wrong is told at once, as Hubble's server does.
//!
//! On its way the checker puts numbers in the place of enums' names, and turns `has()` on a message into a field that tells it.

use std::fmt;

use cel::IdedExpr;
use cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, LiteralValue, SelectExpr, operators};
use cel::common::types::CelInt;

use super::schema::{Field, Kind, Shape, constant};
use super::value::PRESENT;
use super::{double, made, patterns};

/// How often a list of a flow may go round, at a guess; one that is written out is counted.
const ROUNDS: u64 = 100;
/// How deep an expression may be: each level costs stack when a flow meets it.
const DEEPEST: u32 = 64;
/// Most rounds of one flow.
const MOST_ROUNDS: u64 = 1_000_000;

/// The type of a value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Type {
    Bool,
    Int,
    Uint,
    Double,
    Text,
    Bytes,
    Null,
    Time,
    Span,
    /// A value or null.
    Maybe(Box<Type>),
    List(Box<Type>),
    Map(Box<Type>, Box<Type>),
    Message(&'static str),
    /// Known when it is there.
    Dyn,
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool => f.write_str("bool"),
            Self::Int => f.write_str("int"),
            Self::Uint => f.write_str("uint"),
            Self::Double => f.write_str("double"),
            Self::Text => f.write_str("string"),
            Self::Bytes => f.write_str("bytes"),
            Self::Null => f.write_str("null_type"),
            Self::Time => f.write_str("timestamp"),
            Self::Span => f.write_str("duration"),
            Self::Maybe(of) => write!(f, "wrapper({of})"),
            Self::List(of) => write!(f, "list({of})"),
            Self::Map(key, value) => write!(f, "map({key}, {value})"),
            Self::Message(name) => write!(f, "flow.{name}"),
            Self::Dyn => f.write_str("dyn"),
        }
    }
}

impl Type {
    pub(super) fn of(field: &Field) -> Self {
        let one = match field.kind {
            Kind::Bool => Self::Bool,
            Kind::Int => Self::Int,
            Kind::Uint => Self::Uint,
            Kind::Text => Self::Text,
            Kind::Time => Self::Time,
            Kind::MaybeBool => Self::Maybe(Box::new(Self::Bool)),
            Kind::MaybeInt => Self::Maybe(Box::new(Self::Int)),
            Kind::MaybeUint => Self::Maybe(Box::new(Self::Uint)),
            Kind::Any => Self::Dyn,
            Kind::Message(name) => Self::Message(name),
        };
        if field.list { Self::List(Box::new(one)) } else { one }
    }

    /// Whether values of both can be one another.
    pub(super) fn fits(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Dyn, _)
            | (_, Self::Dyn)
            | (Self::Null, Self::Maybe(_) | Self::Message(_) | Self::Time | Self::Span)
            | (Self::Maybe(_) | Self::Message(_) | Self::Time | Self::Span, Self::Null) => true,
            (Self::Maybe(a), Self::Maybe(b)) | (Self::List(a), Self::List(b)) => a.fits(b),
            (Self::Maybe(a), b) => (**a).fits(b),
            (a, Self::Maybe(b)) => a.fits(b),
            (Self::Map(a, b), Self::Map(c, d)) => a.fits(c) && b.fits(d),
            (a, b) => a == b,
        }
    }

    /// What both are.
    fn with(self, other: &Self) -> Self {
        if self == *other { self } else { Self::Dyn }
    }

    fn is(&self, any: &[Self]) -> bool {
        any.iter().any(|t| t.fits(self))
    }
}

type Checked = Result<Type, String>;

/// Checks one expression.
pub(super) struct Checker {
    /// Variables of comprehensions, the innermost last.
    scope: Vec<(String, Type)>,
    /// How often what is checked is done for a flow.
    rounds: u64,
    total: u64,
    depth: u32,
}

fn no_overload(name: &str, types: &[&Type]) -> String {
    let types: Vec<String> = types.iter().map(ToString::to_string).collect();
    format!("found no matching overload for '{name}' applied to '({})'", types.join(", "))
}

fn undeclared(name: &str) -> String {
    format!("undeclared reference to '{name}' (in container 'flow')")
}

/// `a.b.c` of names alone.
fn qualified(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Ident(name) => Some(name.clone()),
        Expr::Select(select) if !select.test => {
            Some(format!("{}.{}", qualified(&select.operand.expr)?, select.field))
        }
        _ => None,
    }
}

impl Checker {
    pub(super) fn new() -> Self {
        Self { scope: Vec::new(), rounds: 1, total: 0, depth: 0 }
    }

    pub(super) fn check(&mut self, expr: &mut IdedExpr) -> Checked {
        if self.depth >= DEEPEST {
            return Err(format!("it is deeper than {DEEPEST} operators in one another"));
        }
        self.depth += 1;
        let of = self.one(expr);
        self.depth -= 1;
        of
    }

    fn one(&mut self, expr: &mut IdedExpr) -> Checked {
        let root = qualified(&expr.expr).filter(|name| {
            let first = name.split('.').next().unwrap_or_default();
            !self.scope.iter().any(|(bound, _)| bound == first)
        });
        if let Some(number) = root.as_ref().and_then(|name| constant(name)) {
            expr.expr = Expr::Literal(LiteralValue::Int(CelInt::from(number)));
            return Ok(Type::Int);
        }
        if let Some(name) = root.and_then(|name| made::type_name(&name)) {
            expr.expr = name;
            return Ok(Type::Dyn);
        }
        match &mut expr.expr {
            Expr::Literal(literal) => Ok(literal_type(literal)),
            Expr::Ident(name) => self.ident(name),
            Expr::Select(select) => self.select(select),
            Expr::Call(call) => self.call(call),
            Expr::List(list) => {
                let mut of: Option<Type> = None;
                for element in &mut list.elements {
                    let next = self.check(element)?;
                    of = Some(of.map_or(next.clone(), |of| of.with(&next)));
                }
                Ok(Type::List(Box::new(of.unwrap_or(Type::Dyn))))
            }
            Expr::Map(map) => {
                let mut of: Option<(Type, Type)> = None;
                for entry in &mut map.entries {
                    let EntryExpr::MapEntry(entry) = &mut entry.expr else { continue };
                    let (key, value) = (self.check(&mut entry.key)?, self.check(&mut entry.value)?);
                    of = Some(match of {
                        Some((k, v)) => (k.with(&key), v.with(&value)),
                        None => (key, value),
                    });
                }
                let (key, value) = of.unwrap_or((Type::Dyn, Type::Dyn));
                Ok(Type::Map(Box::new(key), Box::new(value)))
            }
            Expr::Comprehension(comprehension) => self.comprehension(comprehension),
            Expr::Struct(message) => self.message(message),
            Expr::Unspecified => Err("an expression is missing".into()),
        }
    }

    fn ident(&self, name: &str) -> Checked {
        const TYPES: [&str; 11] =
            ["bool", "int", "uint", "double", "string", "bytes", "list", "map", "null_type", "type", "dyn"];
        if let Some((_, of)) = self.scope.iter().rev().find(|(bound, _)| bound == name) {
            return Ok(of.clone());
        }
        match name {
            "_flow" => Ok(Type::Message("Flow")),
            name if TYPES.contains(&name) => Ok(Type::Dyn),
            name => Err(undeclared(name)),
        }
    }

    fn select(&mut self, select: &mut SelectExpr) -> Checked {
        // A name that leads nowhere is told whole.
        let of = self.check(&mut select.operand)?;
        let found = match &of {
            Type::Message(name) => {
                let field = Shape::of(name)
                    .and_then(|shape| shape.field(&select.field))
                    .ok_or_else(|| format!("undefined field '{}'", select.field))?;
                if select.test {
                    select.field.insert(0, PRESENT);
                    select.test = false;
                    return Ok(Type::Bool);
                }
                Type::of(field)
            }
            Type::Map(_, value) => (**value).clone(),
            Type::Dyn => Type::Dyn,
            other => return Err(format!("type '{other}' does not support field selection")),
        };
        Ok(if select.test { Type::Bool } else { found })
    }

    fn comprehension(&mut self, c: &mut ComprehensionExpr) -> Checked {
        let range = self.check(&mut c.iter_range)?;
        let (first, second) = match &range {
            Type::List(of) if c.iter_var2.is_some() => (Type::Int, (**of).clone()),
            Type::List(of) => ((**of).clone(), Type::Dyn),
            Type::Map(key, value) => ((**key).clone(), (**value).clone()),
            Type::Dyn => (Type::Dyn, Type::Dyn),
            other => {
                return Err(format!(
                    "expression of type '{other}' cannot be range of a comprehension (must be list, map, or dynamic)"
                ));
            }
        };
        let times = match &c.iter_range.expr {
            Expr::List(list) => u64::try_from(list.elements.len()).unwrap_or(ROUNDS),
            _ => ROUNDS,
        };
        let before = (self.scope.len(), self.rounds);
        let sum = self.check(&mut c.accu_init)?;
        self.rounds = self.rounds.saturating_mul(times.max(1));
        self.total = self.total.saturating_add(self.rounds);
        if self.total > MOST_ROUNDS {
            return Err("too many rounds of its lists for each flow".into());
        }
        self.scope.push((c.accu_var.clone(), sum));
        self.scope.push((c.iter_var.clone(), first));
        self.scope.extend(c.iter_var2.clone().map(|name| (name, second)));
        self.check(&mut c.loop_cond)?;
        let step = self.check(&mut c.loop_step)?;
        // What a list holds is known from its steps.
        if let Some((_, sum)) = self.scope.get_mut(before.0) {
            *sum = step;
        }
        let result = self.check(&mut c.result);
        self.scope.truncate(before.0);
        self.rounds = before.1;
        result
    }

    fn call(&mut self, call: &mut CallExpr) -> Checked {
        let name = call.func_name.clone();
        let mut types = Vec::new();
        if let Some(target) = &mut call.target {
            types.push(self.check(target)?);
        }
        for argument in &mut call.args {
            types.push(self.check(argument)?);
        }
        let of: Vec<&Type> = types.iter().collect();
        let result = operator(&name, &of)
            .or_else(|| function(&name, &of, call.target.is_some()))
            .unwrap_or_else(|| Err(undeclared(&name)))?;
        match (name.as_str(), &types[..]) {
            ("matches", _) => patterns::check(call)?,
            ("string", [of]) if call.target.is_none() => double::check(call, of),
            _ => {}
        }
        Ok(result)
    }
}

fn literal_type(literal: &LiteralValue) -> Type {
    match literal {
        LiteralValue::Boolean(_) => Type::Bool,
        LiteralValue::Bytes(_) => Type::Bytes,
        LiteralValue::Double(_) => Type::Double,
        LiteralValue::Int(_) => Type::Int,
        LiteralValue::Null => Type::Null,
        LiteralValue::String(_) => Type::Text,
        LiteralValue::UInt(_) => Type::Uint,
    }
}

/// The result of an operator; `None`: it is none.
fn operator(name: &str, types: &[&Type]) -> Option<Checked> {
    use Type::{Bool, Bytes, Double, Int, Span, Text, Time, Uint};
    let numbers = [Int, Uint, Double];
    let wrong = || Err(no_overload(name, types));
    let same = |any: &[Type]| match types {
        [a, b] if a.is(any) && b.is(any) && a.fits(b) => {
            Ok(if **a == Type::Dyn { (*b).clone() } else { (*a).clone() })
        }
        _ => wrong(),
    };
    Some(match (name, types) {
        (
            operators::LOGICAL_AND
            | operators::LOGICAL_OR
            | operators::LOGICAL_NOT
            | operators::NOT_STRICTLY_FALSE,
            all,
        ) => {
            if all.iter().all(|t| t.fits(&Bool)) {
                Ok(Bool)
            } else {
                wrong()
            }
        }
        (operators::CONDITIONAL, [condition, a, b]) if condition.fits(&Bool) && a.fits(b) => {
            Ok((*a).clone().with(b))
        }
        (operators::EQUALS | operators::NOT_EQUALS, [a, b]) if a.fits(b) => Ok(Bool),
        (operators::LESS | operators::LESS_EQUALS | operators::GREATER | operators::GREATER_EQUALS, _) => {
            same(&[Int, Uint, Double, Bool, Text, Bytes, Time, Span]).map(|_| Bool)
        }
        (operators::ADD, [Time, Span] | [Span, Time]) | (operators::SUBSTRACT, [Time, Span]) => Ok(Time),
        (operators::ADD, [Type::List(a), Type::List(b)]) => {
            Ok(Type::List(Box::new(if **a == Type::Dyn { (**b).clone() } else { (**a).clone().with(b) })))
        }
        (operators::ADD, _) => same(&[Int, Uint, Double, Text, Bytes, Span]),
        (operators::SUBSTRACT, [Time, Time]) => Ok(Span),
        (operators::SUBSTRACT, _) => same(&[Int, Uint, Double, Span]),
        (operators::MULTIPLY | operators::DIVIDE, _) => same(&numbers),
        (operators::MODULO, _) => same(&[Int, Uint]),
        (operators::NEGATE, [of]) if of.is(&[Int, Double]) => Ok((*of).clone()),
        (operators::IN, [one, Type::List(of)]) if one.fits(of) => Ok(Bool),
        (operators::IN, [one, Type::Map(key, _)]) if one.fits(key) => Ok(Bool),
        (operators::IN, [_, Type::Dyn]) => Ok(Bool),
        (operators::INDEX, [Type::List(of), at]) if at.fits(&Int) => Ok((**of).clone()),
        (operators::INDEX, [Type::Map(key, value), at]) if at.fits(key) => Ok((**value).clone()),
        (operators::INDEX, [Type::Dyn, _]) => Ok(Type::Dyn),
        (name, _) if name.contains('_') && !name.chars().any(char::is_alphabetic) => wrong(),
        (operators::IN, _) => wrong(),
        _ => return None,
    })
}

/// The result of a function; `None`: there is none of this name.
fn function(name: &str, types: &[&Type], member: bool) -> Option<Checked> {
    use Type::{Bool, Bytes, Double, Int, Span, Text, Time, Uint};
    let of = |fits: bool, result: Type| if fits { Ok(result) } else { Err(no_overload(name, types)) };
    let one = |any: &[Type]| matches!(types, [t] if t.is(any));
    let texts = matches!(types, [a, b] if a.fits(&Text) && b.fits(&Text));
    let in_time = |any: &[Type]| match types {
        [t] => t.is(any),
        [t, zone] => **t == Time && zone.fits(&Text),
        _ => false,
    };
    Some(match (name, member) {
        ("size", _) => {
            let sized = matches!(types, [Text | Bytes | Type::List(_) | Type::Map(..) | Type::Dyn]);
            of(sized, Int)
        }
        ("contains" | "startsWith" | "endsWith", true) | ("matches", _) => of(texts, Bool),
        ("int", false) => of(one(&[Int, Uint, Double, Text, Time]), Int),
        ("uint", false) => of(one(&[Int, Uint, Double, Text]), Uint),
        ("double", false) => of(one(&[Int, Uint, Double, Text]), Double),
        ("string", false) => of(one(&[Int, Uint, Double, Text, Bytes, Bool, Time, Span]), Text),
        ("bytes", false) => of(one(&[Text, Bytes]), Bytes),
        ("bool", false) => of(one(&[Bool, Text]), Bool),
        ("timestamp", false) => of(one(&[Text, Time, Int]), Time),
        ("duration", false) => of(one(&[Text, Span]), Span),
        ("type" | "dyn", false) => of(types.len() == 1, Type::Dyn),
        ("getHours" | "getMinutes" | "getSeconds" | "getMilliseconds", true) => {
            of(in_time(&[Time, Span]), Int)
        }
        (
            "getFullYear" | "getMonth" | "getDate" | "getDayOfMonth" | "getDayOfWeek" | "getDayOfYear",
            true,
        ) => of(in_time(&[Time]), Int),
        _ => return None,
    })
}
