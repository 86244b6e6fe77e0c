//! `matches()`: its patterns are compiled once, not for each flow.

use std::cell::RefCell;
use std::collections::HashMap;

use cel::common::ast::{CallExpr, Expr, LiteralValue};
use cel::common::types::{CelBool, CelString};
use cel::{Env, ExecutionError, IdedExpr};
use regex::Regex;

use crate::filter::pattern::{bounded, compiled};

/// What `matches` is called once its pattern was looked at. No function can be typed so.
pub(super) const MATCHES: &str = "@matches";
/// Most patterns that a thread remembers; then it begins anew.
const MOST: usize = 64;

/// A pattern must be there to be seen, and small. It is Go's, and is put in this language's words.
pub(super) fn check(call: &mut CallExpr) -> Result<(), String> {
    let Some(IdedExpr { expr: Expr::Literal(LiteralValue::String(text)), .. }) = call.args.last_mut() else {
        return Err("matches() wants its pattern written out".into());
    };
    let compiled = compiled(text.inner())
        .map_err(|_| format!("{:?} of matches() is no regular expression, or too big a one", text.inner()))?;
    *text = CelString::from(compiled.as_str().to_owned());
    MATCHES.clone_into(&mut call.func_name);
    call.args.splice(0..0, call.target.take().map(|target| *target));
    Ok(())
}

/// Makes it known to an interpreter.
pub(super) fn declare(env: &mut Env) {
    // Only a name that is taken is refused.
    drop(cel::add_overload!(env, fn matches: (CelString<'_>, CelString<'_>) -> Result<CelBool>,
        name = MATCHES, id = MATCHES));
}

fn matches(text: &CelString<'_>, pattern: &CelString<'_>) -> Result<CelBool, ExecutionError> {
    thread_local! {
        static KNOWN: RefCell<HashMap<String, Regex>> = RefCell::default();
    }
    KNOWN.with_borrow_mut(|known| {
        if !known.contains_key(pattern.inner()) {
            let made = bounded(pattern.inner()).map_err(|e| ExecutionError::function_error("matches", e))?;
            if known.len() >= MOST {
                known.clear();
            }
            known.insert(pattern.inner().to_owned(), made);
        }
        let is = known.get(pattern.inner()).is_some_and(|regex| regex.is_match(text.inner()));
        Ok(CelBool::from(is))
    })
}
