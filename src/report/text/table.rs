//! Columns of text: each as wide as its longest cell, two spaces between them.

use crate::report::paint::{Ink, Paint};

/// One cell.
pub(in crate::report) struct Cell {
    text: String,
    ink: Ink,
}

impl Cell {
    pub(in crate::report) fn plain(text: impl Into<String>) -> Self {
        Cell::inked(text, Ink::Plain)
    }

    pub(in crate::report) fn inked(text: impl Into<String>, ink: Ink) -> Self {
        Cell { text: text.into(), ink }
    }
}

/// Rows of cells.
pub(in crate::report) struct Table {
    indent: usize,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    pub(in crate::report) fn new(indent: usize) -> Self {
        Table { indent, rows: Vec::new() }
    }

    pub(in crate::report) fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// Returns the rows as lines, without spaces at their ends.
    pub(in crate::report) fn text(&self, paint: Paint) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| self.rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.text.chars().count()).max();
        let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
        let mut text = String::new();
        for row in &self.rows {
            let filled = row.iter().rposition(|cell| !cell.text.is_empty()).map_or(0, |last| last + 1);
            text.push_str(&" ".repeat(self.indent));
            for (index, cell) in row.iter().take(filled).enumerate() {
                text.push_str(&paint.ink(cell.ink, &cell.text));
                if index + 1 < filled {
                    text.push_str(&" ".repeat(widths[index] - cell.text.chars().count() + 2));
                }
            }
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_with_and_without_colors() {
        let mut table = Table::new(2);
        table.row([Cell::plain("a"), Cell::inked("ä-long", Ink::Good), Cell::plain("x")]);
        table.row([Cell::plain("bbb"), Cell::plain("c"), Cell::plain("")]);
        assert_eq!(table.text(Paint::Plain), "  a    ä-long  x\n  bbb  c\n");
        assert_eq!(table.text(Paint::Ansi), "  a    \u{1b}[32mä-long\u{1b}[0m  x\n  bbb  c\n");
    }
}
