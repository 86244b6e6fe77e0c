//! A chart of what each tracer adds to a drop: bars, and lines from the least to the most measured.

use std::fmt::Write as _;

use super::Grid;
use crate::sample::{Number, Summary};

/// Sizes in pixels.
const WIDTH: f64 = 860.0;
const LEFT: f64 = 270.0;
const RIGHT: f64 = 90.0;
const TOP: f64 = 54.0;
const STEP: f64 = 30.0;
const BAR: f64 = 18.0;

/// One bar.
struct Bar<'a> {
    name: &'a str,
    value: Summary,
}

/// Draws one column of a grid; `goal` is a line across. Bars past three times the goal are cut and told by number.
pub fn svg(grid: &Grid, column: &str, title: &str, goal: Option<f64>) -> String {
    let at = grid.columns.iter().position(|(key, _)| *key == column);
    let bars: Vec<Bar<'_>> = grid
        .rows
        .iter()
        .filter_map(|row| Some(Bar { name: &row.name, value: row.cells.get(at?)?.summary()? }))
        .collect();
    let most = bars.iter().map(|bar| bar.value.max).fold(1.0, f64::max);
    let end = goal.map_or(most, |goal| most.min(goal * 3.0));
    let height = TOP + STEP * f64::from(u32::try_from(bars.len()).unwrap_or(0)) + 20.0;
    let x = |value: f64| LEFT + (WIDTH - LEFT - RIGHT) * (value.clamp(0.0, end) / end);
    let mut out = String::new();
    // Writing to a String does not fail.
    let _ = writeln!(
        out,
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="13">
<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>
<text x="16" y="28" font-size="16" fill="#1b1f24">{}</text>"##,
        escaped(title)
    );
    let mut y = TOP;
    for bar in &bars {
        draw(&mut out, bar, y, end, &x);
        y += STEP;
    }
    if let Some(goal) = goal.filter(|goal| *goal <= end) {
        let _ = writeln!(
            out,
            r##"<line x1="{0:.1}" y1="{1:.1}" x2="{0:.1}" y2="{2:.1}" stroke="#b42318" stroke-dasharray="4 3"/>
<text x="{0:.1}" y="{3:.1}" fill="#b42318" text-anchor="middle">goal {4}</text>"##,
            x(goal),
            TOP - 6.0,
            y,
            y + 12.0,
            Number(goal)
        );
    }
    out.push_str("</svg>\n");
    out
}

fn draw(out: &mut String, bar: &Bar<'_>, y: f64, end: f64, x: &impl Fn(f64) -> f64) {
    let Summary { median, min, max, .. } = bar.value;
    let color = if bar.name.starts_with("netdrop") { "#1f6feb" } else { "#8c959f" };
    let (middle, tip) = (y + BAR / 2.0, x(median));
    let label = if median > end { format!("{} (cut)", Number(median)) } else { Number(median).to_string() };
    let _ = writeln!(
        out,
        r##"<text x="{0:.1}" y="{1:.1}" text-anchor="end" fill="#1b1f24">{2}</text>
<rect x="{LEFT}" y="{y:.1}" width="{3:.1}" height="{BAR}" fill="{color}"/>
<line x1="{4:.1}" y1="{middle:.1}" x2="{5:.1}" y2="{middle:.1}" stroke="#1b1f24"/>
<text x="{6:.1}" y="{1:.1}" fill="#1b1f24">{label}</text>"##,
        LEFT - 8.0,
        middle + 4.5,
        escaped(bar.name),
        tip - LEFT,
        x(min),
        x(max),
        x(max).max(tip) + 6.0,
    );
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Row;
    use crate::sample::Sample;

    #[test]
    fn bars_end_at_three_goals() {
        let row = |name: &str, value| Row { name: name.to_owned(), cells: vec![Sample::from_iter([value])] };
        let grid = Grid {
            key: "g",
            of: "tracer",
            title: String::new(),
            columns: vec![("ns", "ns")],
            rows: vec![row("netdrop <x>", 90.0), row("slow", 5000.0)],
        };
        let chart = svg(&grid, "ns", "A & B", Some(100.0));
        assert!(chart.contains("A &amp; B") && chart.contains("netdrop &lt;x&gt;"));
        assert!(chart.contains("5,000 (cut)") && chart.contains("goal 100"));
        assert_eq!(chart.matches("<rect").count(), 3);
    }
}
