//! Small things that Go's library does in its own way.

use std::borrow::Cow;

/// `path.Join` of two parts: empty ones are left out, the rest is cleaned of `.`, `..` and doubled slashes.
pub(super) fn join<'a>(first: &'a str, second: &'a str) -> Cow<'a, str> {
    if first.is_empty() {
        return clean(second.into());
    }
    if second.is_empty() {
        return clean(first.into());
    }
    clean(format!("{first}/{second}").into())
}

fn clean(path: Cow<'_, str>) -> Cow<'_, str> {
    let plain = |part: &str| !part.is_empty() && part != "." && part != "..";
    if path.is_empty() || path.split('/').all(plain) {
        return path;
    }
    let rooted = path.starts_with('/');
    let mut kept: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if kept.last().is_some_and(|last| *last != "..") => {
                kept.pop();
            }
            ".." if rooted => {}
            part => kept.push(part),
        }
    }
    let cleaned = kept.join("/");
    Cow::Owned(match (rooted, cleaned.is_empty()) {
        (true, _) => format!("/{cleaned}"),
        (false, true) => ".".to_owned(),
        (false, false) => cleaned,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_cleaned() {
        for (first, second, joined) in [
            ("a", "b", "a/b"),
            ("", "b", "b"),
            ("a", "", "a"),
            ("", "", ""),
            ("a", "../b", "b"),
            ("a", "../../b", "../b"),
            ("a/", "./b//c/", "a/b/c"),
            ("/a", "..", "/"),
            ("/", "../x", "/x"),
            ("a", "..", "."),
            ("..", "..", "../.."),
        ] {
            assert_eq!(join(first, second), joined, "{first} {second}");
        }
    }
}
