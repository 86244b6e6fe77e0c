//! Lists in one value, as Go's flags read them: `a,b` and `"a,b",c`.

/// The values of a text, or what is wrong with it.
pub fn parse_list(text: &str) -> Result<Vec<String>, String> {
    let mut values = Vec::new();
    let mut rest = text;
    let wrong = |rest: &str, why: &str| {
        let column = text.len() - rest.len() + 1;
        Err(format!("parse error on line 1, column {column}: {why}"))
    };
    while !text.is_empty() {
        let (value, after) = match rest.strip_prefix('"') {
            None => {
                let (value, after) = rest.split_at(rest.find(',').unwrap_or(rest.len()));
                if let Some(quote) = value.find('"') {
                    return wrong(&rest[quote..], "bare \" in non-quoted field");
                }
                (value.to_owned(), after)
            }
            Some(quoted) => match within(quoted) {
                Ok(found) => found,
                Err(at) => return wrong(at, "extraneous or missing \" in quoted-field"),
            },
        };
        values.push(value);
        match after.strip_prefix(',') {
            Some(next) => rest = next,
            None => break,
        }
    }
    Ok(values)
}

/// A value behind its quote, and what follows the closing one; or where that should have been.
fn within(quoted: &str) -> Result<(String, &str), &str> {
    let mut value = String::new();
    let mut rest = quoted;
    loop {
        let Some((part, after)) = rest.split_once('"') else { return Err(&rest[rest.len()..]) };
        value.push_str(part);
        match after.strip_prefix('"') {
            Some(next) => {
                value.push('"');
                rest = next;
            }
            None if after.is_empty() || after.starts_with(',') => return Ok((value, after)),
            None => return Err(&rest[part.len()..]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists() {
        for (text, values) in [
            ("", &[][..]),
            ("a", &["a"]),
            ("a,b", &["a", "b"]),
            ("a,", &["a", ""]),
            (",", &["", ""]),
            ("\"\"", &[""]),
            ("\"a,b\",c", &["a,b", "c"]),
            ("\"a\"\"b\"", &["a\"b"]),
        ] {
            assert_eq!(parse_list(text).unwrap(), values, "{text}");
        }
        for (text, why) in [
            ("a\"b", "column 2: bare \" in non-quoted field"),
            ("\"a", "column 3: extraneous or missing \" in quoted-field"),
            ("\"a\"b", "column 3: extraneous or missing \" in quoted-field"),
        ] {
            assert_eq!(parse_list(text).unwrap_err(), format!("parse error on line 1, {why}"));
        }
    }
}
