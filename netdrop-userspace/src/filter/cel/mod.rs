//! Filters in the Common Expression Language: `_flow` is the flow, names of enums' values are numbers, as `Verdict.DROPPED`.

mod check;
mod direct;
mod double;
mod look;
mod made;
mod patterns;
mod schema;
mod see;
mod size;
mod value;

use std::cell::OnceCell;
use std::sync::{Arc, OnceLock};
use std::thread;

use bytes::Bytes;
use cel::{Context, Env, IdedExpr, Value};
use prost::Message as _;

use super::compile::FilterError;
use crate::convert::Roots;
use crate::proto::flow::Flow;
use check::{Checker, Type};
pub(super) use direct::Direct;
use schema::Shape;
use value::Message;

/// Longest expression, in bytes.
const LONGEST: usize = 4096;
/// Most of the characters of which each may make an expression deeper.
const MOST_OPERATORS: usize = 1000;
const DEEPENS: &str = ".+-*/%<>=!&|?([{";
/// Far more than the parser takes for that many.
const PARSER_STACK: usize = 64 << 20;
/// How deep brackets may lie in one another.
const MOST_BRACKETS: u16 = 32;

/// As a message, a field of the highest number there is (a varint, 0), which no flow has. Messages are equal whose bytes are.
const NO_FLOW: [u8; 6] = [0xf8, 0xff, 0xff, 0xff, 0x0f, 0];

/// An expression that is true or false for a flow.
#[derive(Clone)]
pub(super) struct Program {
    expression: Arc<Direct>,
    roots: Roots,
    text: Arc<str>,
}

/// A flow, as expressions see it.
pub(super) struct Subject<'a> {
    flow: &'a Flow,
    /// It stands for an event that is no flow.
    none: bool,
    /// For the interpreter, once it is asked.
    encoded: OnceCell<Option<Message>>,
}

impl std::fmt::Debug for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.text)
    }
}

/// Operators and functions, made once.
fn env() -> &'static Arc<Env> {
    static ENV: OnceLock<Arc<Env>> = OnceLock::new();
    ENV.get_or_init(|| {
        let mut env = Env::stdlib();
        made::declare(&mut env);
        patterns::declare(&mut env);
        double::declare(&mut env);
        Arc::new(env)
    })
}

/// What the interpreter makes of an expression that asks for no flow.
fn constant(expression: &IdedExpr) -> Option<Value> {
    Value::resolve(expression, &Context::with_env(Arc::clone(env()))).ok()
}

/// The checked expression.
fn parsed(text: &str) -> Result<IdedExpr, String> {
    let mut expression = env().parser().max_recursion_depth(MOST_BRACKETS).parse(text).map_err(|e| {
        let said = e.to_string();
        said.lines().find(|l| !l.trim().is_empty()).unwrap_or("no expression").to_owned()
    })?;
    match Checker::new().check(&mut expression)? {
        Type::Bool => size::check(&expression).map(|()| expression),
        other => Err(format!("got \"{other}\", wanted \"bool\" result type")),
    }
}

impl<'a> Subject<'a> {
    pub(super) fn new(flow: &'a Flow) -> Self {
        Self { flow, none: false, encoded: OnceCell::new() }
    }

    /// In place of an event that is no flow: it has the fields of an empty flow, and equals itself alone.
    pub(super) fn none(empty: &'a Flow) -> Self {
        Self { none: true, ..Self::new(empty) }
    }

    fn bytes(&self) -> Bytes {
        if self.none { Bytes::from_static(&NO_FLOW) } else { Bytes::from(self.flow.encode_to_vec()) }
    }

    /// What the interpreter makes of an expression.
    fn interpret(&self, expression: &IdedExpr) -> Option<bool> {
        let message = self
            .encoded
            .get_or_init(|| Shape::of("Flow").map(|shape| Message { shape, bytes: self.bytes() }));
        let mut context = Context::with_env(Arc::clone(env()));
        context.add_variable_as_val("_flow", Box::new(message.clone()?));
        match Value::resolve(expression, &context) {
            Ok(Value::Bool(is)) => Some(is),
            Ok(other) => {
                tracing::debug!("an expression gave {other:?}");
                None
            }
            Err(e) => {
                tracing::debug!("an expression failed: {e}");
                None
            }
        }
    }
}

impl Program {
    pub(super) fn new(text: &str) -> Result<Self, FilterError> {
        let wrong = |why: &str| FilterError(format!("error compiling CEL expression: {why}"));
        if text.len() > LONGEST {
            return Err(wrong(&format!("it is longer than {LONGEST} bytes")));
        }
        if text.chars().filter(|c| DEEPENS.contains(*c)).count() > MOST_OPERATORS {
            return Err(wrong(&format!("it has more than {MOST_OPERATORS} operators")));
        }
        // The parser's depth is that of the text; what comes out is as deep as the checker lets through.
        let parse = || parsed(text).map_err(|why| wrong(&why));
        let expression = thread::scope(|scope| {
            let parser = thread::Builder::new().name("expression".into()).stack_size(PARSER_STACK);
            let thread = parser.spawn_scoped(scope, parse).map_err(|e| wrong(&format!("no thread: {e}")))?;
            thread.join().unwrap_or_else(|_| Err(wrong("its parser gave up")))
        })?;
        let expression = Direct::new(expression).folded();
        Ok(Self { roots: expression.roots(), expression: Arc::new(expression), text: text.into() })
    }

    /// What it asks.
    pub(super) fn expression(&self) -> &Arc<Direct> {
        &self.expression
    }

    /// What of a flow it looks at.
    pub(super) fn roots(&self) -> Roots {
        self.roots
    }

    /// `None`: it can't be told, as for a division by zero.
    pub(super) fn is_true(&self, flow: &Subject<'_>) -> Option<bool> {
        self.expression.is_true(flow)
    }
}

#[cfg(test)]
mod tests;
