//! Measured values of one thing: their middle and how far they lie apart.

use std::fmt;

use serde::Serialize;

/// Values of one figure, one for each repetition.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sample(Vec<f64>);

/// What is kept of a sample.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// The middle one; between the middle two, if they are an even number.
    pub median: f64,
    /// The least.
    pub min: f64,
    /// The largest.
    pub max: f64,
    /// How many.
    pub n: usize,
}

impl Sample {
    /// Adds one.
    pub fn push(&mut self, value: f64) {
        self.0.push(value);
    }

    /// The values in the order they came.
    pub fn values(&self) -> &[f64] {
        &self.0
    }

    /// `None` where nothing was measured.
    pub fn summary(&self) -> Option<Summary> {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        let (low, high) = (sorted[(sorted.len() - 1) / 2], sorted[sorted.len() / 2]);
        Some(Summary { median: f64::midpoint(low, high), min, max, n: sorted.len() })
    }
}

impl FromIterator<f64> for Sample {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Self {
        Self(values.into_iter().collect())
    }
}

/// A number with as many digits as tell something: three, or those before the point; thousands set apart.
#[derive(Clone, Copy, Debug)]
pub struct Number(pub f64);

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let size = self.0.abs();
        let decimals = match size {
            _ if size.fract() == 0.0 || size >= 100.0 => 0,
            _ if size >= 10.0 => 1,
            _ if size >= 1.0 => 2,
            _ if size >= 0.1 => 3,
            _ => 4,
        };
        let text = format!("{:.decimals$}", self.0);
        let (whole, fraction) =
            text.split_once('.').map_or((text.as_str(), ""), |(w, _)| (w, &text[w.len()..]));
        let (sign, digits) = whole.split_at(usize::from(whole.starts_with('-')));
        let mut grouped = String::new();
        for (n, digit) in digits.chars().enumerate() {
            if n > 0 && (digits.len() - n).is_multiple_of(3) {
                grouped.push(',');
            }
            grouped.push(digit);
        }
        f.pad(&format!("{sign}{grouped}{fraction}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_and_the_ends() {
        let summary = Sample::from_iter([5.0, 1.0, 3.0]).summary().unwrap();
        assert_eq!(summary, Summary { median: 3.0, min: 1.0, max: 5.0, n: 3 });
        assert_eq!(Sample::from_iter([1.0, 2.0]).summary().unwrap().median.to_bits(), 1.5_f64.to_bits());
        assert_eq!(Sample::default().summary(), None);
    }

    #[test]
    fn numbers_are_short() {
        let shown: Vec<String> = [0.0, 7.0, 0.01234, 0.5, 1.234, 12.34, 1234.5, -1_234_567.0]
            .iter()
            .map(|n| Number(*n).to_string())
            .collect();
        assert_eq!(shown, ["0", "7", "0.0123", "0.500", "1.23", "12.3", "1,234", "-1,234,567"]);
    }
}
