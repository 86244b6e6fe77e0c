//! `string(1e6)`: numbers as Go writes them.

use cel::common::ast::{CallExpr, Expr, operators};
use cel::common::types::{CelDouble, CelString};
use cel::{Env, IdedExpr, add_overload};

use super::check::Type;

/// What `string` is called for a number with a point. No function can be typed so.
const STRING: &str = "@string";
/// Digits before the point from which on Go writes an exponent.
const MOST_DIGITS: i32 = 6;
/// Zeros behind it from which on it does.
const MOST_ZEROS: i32 = 4;

/// Makes it known to an interpreter.
pub(super) fn declare(env: &mut Env) {
    // Only a name that is taken is refused.
    drop(add_overload!(env, fn text: (CelDouble) -> CelString<'static>, name = STRING, id = STRING));
}

/// Puts it in the place of `string`, as far as the argument's type is known.
pub(super) fn check(call: &mut CallExpr, argument: &Type) {
    let plain = |expr: Expr| IdedExpr { id: 0, expr };
    let function = |name: &str, args: Vec<IdedExpr>| {
        plain(Expr::Call(CallExpr { func_name: name.to_owned(), target: None, args }))
    };
    match (argument, &call.args[..]) {
        (Type::Double, _) => STRING.clone_into(&mut call.func_name),
        (Type::Dyn, [of]) => {
            let is = vec![function("type", vec![of.clone()]), plain(Expr::Ident("double".to_owned()))];
            let either = vec![
                function(operators::EQUALS, is),
                function(STRING, vec![of.clone()]),
                function("string", vec![of.clone()]),
            ];
            *call = CallExpr { func_name: operators::CONDITIONAL.to_owned(), target: None, args: either };
        }
        _ => {}
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the interpreter's signature")]
fn text(number: &CelDouble) -> CelString<'static> {
    CelString::from(written(*number.inner()))
}

/// The fewest digits that say which number it is, as `strconv` has them with `g`.
fn written(number: f64) -> String {
    if number.is_nan() {
        return "NaN".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let scientific = format!("{number:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if (-MOST_ZEROS..MOST_DIGITS).contains(&exponent) {
        return number.to_string();
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_by_go() {
        for (number, text) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (1.5, "1.5"),
            (100_000.0, "100000"),
            (123_456.75, "123456.75"),
            (1e6, "1e+06"),
            (1e21, "1e+21"),
            (123_456_789.0, "1.23456789e+08"),
            (-4_026_531_840.0, "-4.02653184e+09"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (0.000_001, "1e-06"),
            (1e100, "1e+100"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-Inf"),
        ] {
            assert_eq!(written(number), text);
        }
    }
}
