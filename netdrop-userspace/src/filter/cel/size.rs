//! How much an expression may make of a flow, before it meets one: expressions come from clients of an agent, and `x + x` in a
//! chain of lists would fill any machine's memory.

use cel::IdedExpr;
use cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, LiteralValue, operators};

/// Elements of a flow's list, and bytes of one of its texts, at a guess.
const GUESS: Size = Size { len: 100, each: 256 };
/// Bytes of a number, a time or a truth, as text.
const SMALL: u64 = 32;
/// Most bytes of one value.
const MOST: u64 = 16 << 20;
/// Most bytes of all that is made on the way, with a flow.
const MOST_WORK: u64 = 256 << 20;
/// Most parts of expressions looked at.
const MOST_STEPS: u32 = 100_000;

/// A bound of a value: so many elements of so many bytes. A text is one element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Size {
    len: u64,
    each: u64,
}

impl Size {
    fn one(bytes: u64) -> Self {
        Self { len: 1, each: bytes }
    }

    fn bytes(self) -> u64 {
        self.len.saturating_mul(self.each.max(1))
    }

    fn most(self, other: Self) -> Self {
        Self { len: self.len.max(other.len), each: self.each.max(other.each) }
    }

    /// Of texts the bytes add up, of lists the elements: which these are is not known here.
    fn plus(self, other: Self) -> Self {
        if self.len <= 1 && other.len <= 1 {
            return Self { len: 1, each: self.each.saturating_add(other.each) };
        }
        Self { len: self.len.saturating_add(other.len), each: self.each.max(other.each) }
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
            Expr::Literal(LiteralValue::String(text)) => Size::one(len(text.inner().len())),
            Expr::Literal(LiteralValue::Bytes(bytes)) => Size::one(len(bytes.inner().len())),
            Expr::Literal(_) | Expr::Unspecified | Expr::Struct(_) => Size::one(0),
            Expr::Ident(name) => {
                let bound = self.scope.iter().rev().find(|(bound, _)| bound == name);
                return Ok(bound.map_or(GUESS, |(_, size)| *size));
            }
            Expr::Select(select) => self.of(&select.operand)?,
            Expr::Call(call) => self.call(call)?,
            Expr::List(list) => {
                let elements: Result<Vec<_>, _> = list.elements.iter().map(|e| self.of(e)).collect();
                together(&elements?)
            }
            Expr::Map(map) => {
                let mut sizes = Vec::new();
                for entry in &map.entries {
                    if let EntryExpr::MapEntry(entry) = &entry.expr {
                        let (key, value) = (self.of(&entry.key)?, self.of(&entry.value)?);
                        sizes.push(Size::one(key.bytes().saturating_add(value.bytes())));
                    }
                }
                together(&sizes)
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
            (operators::ADD, [a, b]) => a.plus(*b),
            (operators::CONDITIONAL, [_, a, b]) => a.most(*b),
            (operators::INDEX, [of, _]) => Size::one(of.each),
            ("string" | "bytes" | "dyn", [of]) => Size { each: of.each.max(SMALL), ..*of },
            _ => Size::one(0),
        })
    }

    /// The sum has no name that can be typed: the macros alone make it, and add to it in each round what they add in the first.
    fn comprehension(&mut self, c: &'a ComprehensionExpr) -> Result<Size, String> {
        let range = self.of(&c.iter_range)?;
        let sum = self.of(&c.accu_init)?;
        let before = (self.scope.len(), self.rounds);
        let times = range.len.max(1);
        self.rounds = self.rounds.saturating_mul(times);
        let element = Size { len: range.each.max(1).min(GUESS.len), each: range.each };
        self.scope.push((&c.accu_var, sum));
        self.scope.push((&c.iter_var, element));
        self.scope.extend(c.iter_var2.as_deref().map(|name| (name, element)));
        self.of(&c.loop_cond)?;
        let step = self.of(&c.loop_step)?;
        self.rounds = before.1;
        let grown = Size {
            len: step.len.saturating_sub(sum.len).saturating_mul(times).saturating_add(sum.len),
            ..step
        };
        self.scope.truncate(before.0);
        self.scope.push((&c.accu_var, grown));
        let result = self.of(&c.result);
        self.scope.truncate(before.0);
        result
    }
}

/// A list of these.
fn together(elements: &[Size]) -> Size {
    Size { len: len(elements.len()), each: elements.iter().map(|e| e.bytes()).max().unwrap_or(0) }
}

fn len(of: usize) -> u64 {
    u64::try_from(of).unwrap_or(u64::MAX)
}
