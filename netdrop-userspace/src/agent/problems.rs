//! All that is in the way of a start, told at once.

use std::fmt;

/// One sentence each: what it is about, what is wrong, and the way out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems(Vec<String>);

impl Problems {
    /// One more.
    pub fn add(&mut self, problem: impl fmt::Display) {
        self.0.push(problem.to_string());
    }

    /// Those of a part.
    pub fn extend(&mut self, more: Self) {
        self.0.extend(more.0);
    }

    /// Keeps what a part gave, or its one problem.
    pub fn check<T>(&mut self, part: anyhow::Result<T>) -> Option<T> {
        part.map_err(|e| self.add(format_args!("{e:#}"))).ok()
    }

    /// Like [`Self::check`], of a part that may have several.
    pub fn merge<T>(&mut self, part: Result<T, Self>) -> Option<T> {
        part.map_err(|more| self.extend(more)).ok()
    }

    /// `Err` if there is any.
    pub fn none(self) -> Result<(), Self> {
        if self.0.is_empty() { Ok(()) } else { Err(self) }
    }
}

impl From<String> for Problems {
    fn from(one: String) -> Self {
        Self(vec![one])
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [one] => f.write_str(one),
            all => {
                write!(f, "{} things are in the way:", all.len())?;
                all.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
            }
        }
    }
}

impl std::error::Error for Problems {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_a_sentence_and_more_are_a_list() {
        let mut problems = Problems::default();
        assert_eq!(problems.clone().none(), Ok(()));
        problems.add("a is b; do c");
        assert_eq!(problems.to_string(), "a is b; do c");
        assert_eq!(problems.check(Err::<(), _>(anyhow::anyhow!("inner").context("outer"))), None);
        assert_eq!(problems.merge(Ok(1)), Some(1));
        assert_eq!(problems.to_string(), "2 things are in the way:\n  a is b; do c\n  outer: inner");
        assert!(problems.none().is_err());
    }
}
