//! How much an expression may make of a flow, before it meets one: expressions come from clients of an agent, and `x + x` in a
//! chain of lists would fill any machine's memory.

use std::rc::Rc;

use cel::IdedExpr;
use cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, LiteralValue, operators};

/// Bytes of one of a flow's texts, and elements of one of its lists, at a guess.
const TEXT: u64 = 256;
const LIST: u64 = 100;
/// Bytes of a number, a time or a truth, as text.
const SMALL: u64 = 32;
/// Bytes that a value takes beside its own.
const VALUE: u64 = 64;
/// Most bytes of one value.
const MOST: u64 = 4 << 20;
/// Most bytes of all that is made on the way, with a flow.
const MOST_WORK: u64 = 32 << 20;
/// Most parts of expressions looked at.
const MOST_STEPS: u32 = 100_000;

/// A bound of a value.
#[derive(Clone, Debug)]
enum Size {
    /// So many bytes; also of what is a flow's and may be a list.
    One(u64),
    /// So many elements of at most this size each.
    Many(u64, Rc<Size>),
}

impl Size {
    fn bytes(&self) -> u64 {
        match self {
            Self::One(bytes) => bytes.saturating_add(VALUE),
            Self::Many(len, each) => len.saturating_mul(each.bytes()).saturating_add(VALUE),
        }
    }

    /// How many elements it may have, and of what size.
    fn elements(&self) -> (u64, Rc<Self>) {
        match self {
            Self::One(bytes) => (bytes.div_ceil(TEXT).max(1).saturating_mul(LIST), Rc::new(Self::One(TEXT))),
            Self::Many(len, each) => (*len, Rc::clone(each)),
        }
    }

    fn most(&self, other: &Self) -> Self {
        if let (Self::One(a), Self::One(b)) = (self, other) {
            return Self::One(*a.max(b));
        }
        let ((a, each), (b, of)) = (self.elements(), other.elements());
        Self::Many(a.max(b), Rc::new(each.most(&of)))
    }

    fn plus(&self, other: &Self) -> Self {
        if let (Self::One(a), Self::One(b)) = (self, other) {
            return Self::One(a.saturating_add(*b));
        }
        let ((a, each), (b, of)) = (self.elements(), other.elements());
        Self::Many(a.saturating_add(b), Rc::new(each.most(&of)))
    }

    /// A list of these.
    fn list(elements: &[Self]) -> Self {
        let each = elements.iter().cloned().reduce(|a, b| a.most(&b)).unwrap_or(Self::One(0));
        Self::Many(len(elements.len()), Rc::new(each))
    }
}

/// Whether the values of a checked expression stay within bounds.
pub(super) fn check(expression: &IdedExpr) -> Result<(), String> {
    Sizer { scope: Vec::new(), rounds: 1, work: 0, steps: 0 }.of(expression).map(drop)
}

struct Sizer<'a> {
    /// Variables of comprehensions, the innermost last.
    scope: Vec<(&'a str, Size)>,
    rounds: u64,
    work: u64,
    steps: u32,
}

impl<'a> Sizer<'a> {
    fn of(&mut self, expr: &'a IdedExpr) -> Result<Size, String> {
        self.steps += 1;
        let size = match &expr.expr {
            Expr::Literal(LiteralValue::String(text)) => Size::One(len(text.inner().len())),
            Expr::Literal(LiteralValue::Bytes(bytes)) => Size::One(len(bytes.inner().len())),
            Expr::Literal(_) | Expr::Unspecified => Size::One(0),
            Expr::Ident(name) => {
                let bound = self.scope.iter().rev().find(|(bound, _)| bound == name);
                return Ok(bound.map_or(Size::One(TEXT), |(_, size)| size.clone()));
            }
            Expr::Select(select) => match self.of(&select.operand)? {
                Size::Many(_, each) => each.as_ref().clone(),
                one @ Size::One(_) => one,
            },
            Expr::Call(call) => self.call(call)?,
            Expr::List(list) => {
                let elements: Result<Vec<_>, _> = list.elements.iter().map(|e| self.of(e)).collect();
                Size::list(&elements?)
            }
            Expr::Map(map) => {
                let mut sizes = Vec::new();
                for entry in &map.entries {
                    if let EntryExpr::MapEntry(entry) = &entry.expr {
                        let (key, value) = (self.of(&entry.key)?, self.of(&entry.value)?);
                        sizes.push(Size::One(key.bytes().saturating_add(value.bytes())));
                    }
                }
                Size::list(&sizes)
            }
            Expr::Struct(message) => {
                let mut bytes = 0u64;
                for entry in &message.entries {
                    if let EntryExpr::StructField(entry) = &entry.expr {
                        bytes = bytes.saturating_add(self.of(&entry.value)?.bytes());
                    }
                }
                Size::One(bytes)
            }
            Expr::Comprehension(c) => self.comprehension(c)?,
        };
        self.work = self.work.saturating_add(self.rounds.saturating_mul(size.bytes()));
        if size.bytes() > MOST || self.work > MOST_WORK || self.steps > MOST_STEPS {
            return Err("it may make too much of each flow".into());
        }
        Ok(size)
    }

    fn call(&mut self, call: &'a CallExpr) -> Result<Size, String> {
        let mut sizes = Vec::new();
        for part in call.target.iter().map(|t| &**t).chain(&call.args) {
            sizes.push(self.of(part)?);
        }
        Ok(match (call.func_name.as_str(), &sizes[..]) {
            (operators::ADD, [a, b]) => a.plus(b),
            (operators::CONDITIONAL, [_, a, b]) => a.most(b),
            (operators::INDEX, [of, _]) => match of {
                Size::Many(_, each) => each.as_ref().clone(),
                Size::One(bytes) => Size::One(*bytes),
            },
            ("string" | "@string" | "bytes", [of]) => of.most(&Size::One(SMALL)),
            ("dyn", [of]) => of.clone(),
            _ => Size::One(0),
        })
    }

    /// The sum has no name that can be typed: the macros alone make it, and add to it in each round what they add in the first.
    fn comprehension(&mut self, c: &'a ComprehensionExpr) -> Result<Size, String> {
        let (times, element) = self.of(&c.iter_range)?.elements();
        let sum = self.of(&c.accu_init)?;
        let before = (self.scope.len(), self.rounds);
        self.rounds = self.rounds.saturating_mul(times.max(1));
        self.scope.push((&c.accu_var, sum.clone()));
        self.scope.push((&c.iter_var, element.as_ref().clone()));
        self.scope.extend(c.iter_var2.as_deref().map(|name| (name, element.as_ref().clone())));
        self.of(&c.loop_cond)?;
        let step = self.of(&c.loop_step)?;
        self.rounds = before.1;
        self.scope.truncate(before.0);
        let grown = match (step, sum) {
            (Size::Many(after, each), Size::Many(first, _)) => {
                Size::Many(after.saturating_sub(first).saturating_mul(times).saturating_add(first), each)
            }
            (step, _) => step,
        };
        self.scope.push((&c.accu_var, grown));
        let result = self.of(&c.result);
        self.scope.truncate(before.0);
        result
    }
}

fn len(of: usize) -> u64 {
    u64::try_from(of).unwrap_or(u64::MAX)
}
