//! Filters on HTTP.

use regex::Regex;

use super::compile::FilterError;
use super::fields::Http;
use crate::go;

/// A status code, or its beginning.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Status {
    Whole(String),
    Prefix(String),
}

impl Status {
    /// `404`, `4+`, `40+`.
    pub(super) fn parse(text: &str) -> Result<Self, FilterError> {
        let digits = text.strip_suffix('+').unwrap_or(text);
        let good = digits.starts_with(|c: char| ('1'..='5').contains(&c))
            && digits.bytes().all(|b| b.is_ascii_digit());
        match (good, digits.len(), digits.len() < text.len()) {
            (true, 3, false) => Ok(Self::Whole(digits.to_owned())),
            (true, 1 | 2, true) => Ok(Self::Prefix(digits.to_owned())),
            _ => Err(FilterError(format!("invalid status code prefix: {}", go::quote(text)))),
        }
    }
}

/// Whether a response has one of the codes; a request has none.
pub(super) fn status(wanted: &[Status], http: &Http<'_>) -> bool {
    if http.code == 0 {
        return false;
    }
    let code = format!("{:03}", http.code);
    wanted.iter().any(|w| match w {
        Status::Whole(w) => *w == code,
        Status::Prefix(w) => code.starts_with(w.as_str()),
    })
}

/// In any case; the long s is an s.
pub(super) fn method(wanted: &[String], http: &Http<'_>) -> bool {
    let folded = |text: &str| text.to_lowercase().replace('\u{17f}', "s");
    let same = |w: &String| w.eq_ignore_ascii_case(http.method) || folded(w) == folded(http.method);
    !http.method.is_empty() && wanted.iter().any(same)
}

/// On the URL as it is.
pub(super) fn url(wanted: &[Regex], http: &Http<'_>) -> bool {
    !http.url.is_empty() && wanted.iter().any(|w| w.is_match(http.url))
}

/// On the path of the URL; what is no URL does not match.
pub(super) fn path(wanted: &[Regex], http: &Http<'_>) -> bool {
    path_of(http.url).is_some_and(|path| wanted.iter().any(|w| w.is_match(&path)))
}

/// The decoded path of what a request line may hold: a URL, or an absolute path. As Go's `url.ParseRequestURI` has it.
fn path_of(url: &str) -> Option<String> {
    if url.is_empty() || url.bytes().any(|b| b < 0x20 || b == 0x7f) {
        return None;
    }
    if url == "*" {
        return Some(url.to_owned());
    }
    let (scheme, rest) = scheme(url)?;
    let rest = rest.split_once('?').map_or(rest, |(before, _)| before);
    if !rest.starts_with('/') {
        // Opaque, as in mailto:someone; without a scheme it is no request.
        return (!scheme.is_empty()).then(String::new);
    }
    let mut path = rest;
    if !scheme.is_empty()
        && let Some(rest) = rest.strip_prefix("//")
    {
        let end = rest.find('/').unwrap_or(rest.len());
        if !is_authority(&rest[..end]) {
            return None;
        }
        path = &rest[end..];
    }
    let bytes = decoded(path)?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// The scheme (or nothing) and what follows; `None`: it begins with a colon.
fn scheme(url: &str) -> Option<(&str, &str)> {
    for (i, c) in url.char_indices() {
        match c {
            'a'..='z' | 'A'..='Z' => {}
            '0'..='9' | '+' | '-' | '.' if i > 0 => {}
            ':' if i == 0 => return None,
            ':' => return Some((&url[..i], &url[i + 1..])),
            _ => break,
        }
    }
    Some(("", url))
}

/// `[user[:password]@]host[:port]`.
fn is_authority(text: &str) -> bool {
    let (user, host) = text.rsplit_once('@').map_or((None, text), |(user, host)| (Some(user), host));
    let in_user = |c: char| c.is_ascii_alphanumeric() || "-._:~!$&'()*+,;=%@".contains(c);
    if user.is_some_and(|u| !u.chars().all(in_user) || decoded(u).is_none()) {
        return false;
    }
    if let Some(rest) = host.strip_prefix('[') {
        let Some((inside, port)) = rest.rsplit_once(']') else { return false };
        let address = inside.split_once("%25").map_or(inside, |(address, _)| address);
        return is_port(port) && address.parse::<std::net::Ipv6Addr>().is_ok();
    }
    let port = host.rfind(':').map_or("", |at| &host[at..]);
    is_port(port) && !host.contains('%') && host.chars().all(is_in_host)
        || host.contains('%') && is_port(port) && encoded_host(host)
}

fn is_in_host(c: char) -> bool {
    !c.is_ascii() || c.is_ascii_alphanumeric() || "-_.~!$&'()*+,;=:[]<>\"".contains(c)
}

/// In a host only what is no ASCII may be encoded.
fn encoded_host(host: &str) -> bool {
    let plain = host.split('%').enumerate().all(|(i, part)| {
        let rest = if i == 0 { Some(part) } else { part.get(2..) };
        let high = i == 0 || part.starts_with(|c: char| matches!(c, '8' | '9' | 'a'..='f' | 'A'..='F'));
        high && rest.is_some_and(|rest| rest.chars().all(is_in_host))
    });
    plain && decoded(host).is_some()
}

/// A colon and digits, or nothing.
fn is_port(text: &str) -> bool {
    text.strip_prefix(':').map_or(text.is_empty(), |digits| digits.bytes().all(|b| b.is_ascii_digit()))
}

/// Bytes after percent decoding.
fn decoded(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        if *first != b'%' {
            out.push(*first);
            continue;
        }
        let [high, low, after @ ..] = after else { return None };
        let digit = |b: u8| char::from(b).to_digit(16);
        out.push(u8::try_from(digit(*high)? * 16 + digit(*low)?).ok()?);
        rest = after;
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        for (url, path) in [
            ("http://cilium.io/page/1", Some("/page/1")),
            ("/page/12?q=1#frag", Some("/page/12")),
            ("/a#b", Some("/a#b")),
            ("https://user@example.com:8443/a%20b/c", Some("/a b/c")),
            ("http://example.com", Some("")),
            ("//host/path", Some("//host/path")),
            ("mailto:someone", Some("")),
            ("http://[::1]:80/x", Some("/x")),
            ("*", Some("*")),
            ("relative/path", None),
            ("http://bad host/x", None),
            ("http://host:port/x", None),
            ("/%zz", None),
            (":x", None),
            ("", None),
            ("/a\nb", None),
        ] {
            assert_eq!(path_of(url).as_deref(), path, "{url}");
        }
    }

    #[test]
    fn codes() {
        for good in ["404", "5+", "50+", "100"] {
            Status::parse(good).unwrap();
        }
        for bad in ["", "+", "4", "40", "600", "6+", "404+", "4x+", "-1"] {
            assert_eq!(Status::parse(bad).unwrap_err().0, format!("invalid status code prefix: {bad:?}"));
        }
        let http = |code| Http { code, method: "", url: "", headers: &[] };
        assert!(
            status(&[Status::Prefix("5".into())], &http(503))
                && !status(&[Status::Prefix("5".into())], &http(0))
        );
        // A code of one digit is written with zeros before it.
        assert!(!status(&[Status::Prefix("5".into())], &http(5)));
    }
}
