//! Elastic tab stops as Go's text/tabwriter has them: widths in characters, cells that end with a tab, columns as long as lines follow
//! each other that have them. A form feed, or a line of one cell, ends all columns.

/// A cell: its end in the text, and its width in characters.
#[derive(Clone, Copy)]
struct Cell {
    end: usize,
    width: usize,
}

/// Lines that wait for the widths of their columns.
pub(crate) struct Elastic {
    least: usize,
    padding: usize,
    /// The text of all cells, one after the other.
    text: String,
    lines: Vec<Vec<Cell>>,
    /// What was laid out already.
    done: String,
}

impl Elastic {
    /// `least`: width of a column; `padding`: spaces behind its widest cell.
    pub(crate) fn new(least: usize, padding: usize) -> Self {
        Self { least, padding, text: String::new(), lines: vec![Vec::new()], done: String::new() }
    }

    pub(crate) fn write(&mut self, text: &str) {
        let mut rest = text;
        while let Some(at) = rest.find(['\t', '\u{b}', '\n', '\u{c}']) {
            self.cell(&rest[..at], true);
            let mark = rest.as_bytes()[at];
            rest = &rest[at + 1..];
            if matches!(mark, b'\n' | b'\x0c') {
                let cells = self.lines.last().map_or(0, Vec::len);
                self.lines.push(Vec::new());
                if mark == b'\x0c' || cells == 1 {
                    self.lay_out();
                }
            }
        }
        self.cell(rest, false);
    }

    /// Adds a cell; a text that nothing ends yet becomes one only if there is any.
    fn cell(&mut self, text: &str, ended: bool) {
        if !ended && text.is_empty() {
            return;
        }
        self.text.push_str(text);
        let cell = Cell { end: self.text.len(), width: text.chars().count() };
        if let Some(line) = self.lines.last_mut() {
            line.push(cell);
        }
    }

    /// Appends everything.
    pub(crate) fn finish(&mut self, out: &mut String) {
        self.lay_out();
        out.push_str(&self.done);
        self.done.clear();
    }

    fn lay_out(&mut self) {
        let lines = std::mem::replace(&mut self.lines, vec![Vec::new()]);
        let text = std::mem::take(&mut self.text);
        let mut layout = Layout {
            lines: &lines,
            text: &text,
            at: 0,
            least: self.least,
            padding: self.padding,
            widths: Vec::new(),
            out: &mut self.done,
        };
        layout.block(0, lines.len());
    }
}

struct Layout<'a> {
    lines: &'a [Vec<Cell>],
    text: &'a str,
    /// How much of the text is written.
    at: usize,
    least: usize,
    padding: usize,
    /// Of the columns that the lines at hand are in.
    widths: Vec<usize>,
    out: &'a mut String,
}

impl Layout<'_> {
    /// Whether a line has a cell in this column that a tab ends.
    fn has(&self, line: usize, column: usize) -> bool {
        column + 1 < self.lines[line].len()
    }

    fn block(&mut self, mut from: usize, to: usize) {
        let column = self.widths.len();
        let mut line = from;
        while line < to {
            if !self.has(line, column) {
                line += 1;
                continue;
            }
            self.write(from, line);
            from = line;
            let mut width = self.least;
            while line < to && self.has(line, column) {
                width = width.max(self.lines[line][column].width + self.padding);
                line += 1;
            }
            self.widths.push(width);
            self.block(from, line);
            self.widths.pop();
            from = line;
        }
        self.write(from, to);
    }

    fn write(&mut self, from: usize, to: usize) {
        for line in from..to {
            for (i, cell) in self.lines[line].iter().enumerate() {
                self.out.push_str(&self.text[self.at..cell.end]);
                self.at = cell.end;
                if let Some(width) = self.widths.get(i) {
                    self.out.extend(std::iter::repeat_n(' ', width.saturating_sub(cell.width)));
                }
            }
            if line + 1 < self.lines.len() {
                self.out.push('\n');
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn aligned(text: &str) -> String {
        let mut cells = Elastic::new(2, 3);
        cells.write(text);
        let mut out = String::new();
        cells.finish(&mut out);
        out
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        assert_eq!(aligned("a\tbb\tc\nddd\te\tf\n"), "a     bb   c\nddd   e    f\n");
        assert_eq!(aligned("ü\tb\nzz\tb\n"), "ü    b\nzz   b\n");
    }

    #[test]
    fn a_line_of_one_cell_ends_columns() {
        assert_eq!(aligned("a\tb\nlonger\nccc\td\n"), "a   b\nlonger\nccc   d\n");
        assert_eq!(aligned("a\tb\u{c}ccc\td\n"), "a   b\nccc   d\n");
    }

    #[test]
    fn shorter_lines_end_the_columns_they_lack() {
        assert_eq!(aligned("a\tb\tc\nxx\ty\nlll\tm\tn\n"), "a     b   c\nxx    y\nlll   m   n\n");
        assert_eq!(aligned(""), "");
    }
}
