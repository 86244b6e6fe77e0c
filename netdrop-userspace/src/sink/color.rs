//! Colours of the client: cyan hosts, yellow ports, magenta identities, verdicts by what they mean.

/// When to colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ColorWhen {
    /// On a terminal, unless `NO_COLOR` is set or `TERM` is `dumb`.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl ColorWhen {
    /// By the name that `--color` takes, in any case; none is as good as `auto`.
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name.to_lowercase().as_str() {
            "" | "auto" => Self::Auto,
            "always" => Self::Always,
            "never" => Self::Never,
            _ => return None,
        })
    }

    /// Whether to colour, given whether the output is a terminal.
    pub fn resolve(self, terminal: bool) -> bool {
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto => {
                terminal
                    && std::env::var_os("NO_COLOR").is_none()
                    && std::env::var_os("TERM").is_none_or(|t| t != "dumb")
            }
        }
    }
}

/// Puts colours around what a closure writes.
#[derive(Clone, Copy, Debug)]
pub struct Painter(pub bool);

impl Painter {
    pub(crate) fn around(self, code: &str, out: &mut String, write: impl FnOnce(&mut String)) {
        if !self.0 {
            write(out);
            return;
        }
        out.push_str("\u{1b}[");
        out.push_str(code);
        out.push('m');
        write(out);
        out.push_str("\u{1b}[0m");
    }

    pub(crate) fn host(self, out: &mut String, write: impl FnOnce(&mut String)) {
        self.around("36", out, write);
    }

    pub(crate) fn port(self, out: &mut String, write: impl FnOnce(&mut String)) {
        self.around("33", out, write);
    }

    pub(crate) fn identity(self, out: &mut String, write: impl FnOnce(&mut String)) {
        self.around("35", out, write);
    }

    pub(crate) fn verdict(
        self,
        verdict: crate::flow::Verdict,
        out: &mut String,
        write: impl FnOnce(&mut String),
    ) {
        use crate::flow::Verdict as V;
        match verdict {
            V::Forwarded | V::Redirected => self.around("32", out, write),
            V::Dropped | V::Error => self.around("31", out, write),
            V::Audit | V::Traced | V::Translated => self.around("33", out, write),
            V::Unknown => write(out),
        }
    }
}
