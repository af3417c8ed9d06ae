//! Aligned tables without lines: a heading, then rows; numbers to the right.

use super::harmless::one_line;
use super::output::{Style, paint};
use super::wrap::columns;

/// Space between two columns.
const GAP: usize = 2;

/// Rows of text under headings.
pub(crate) struct Table {
    heads: Vec<(String, bool)>,
    rows: Vec<Vec<(String, Option<Style>)>>,
}

impl Table {
    /// A table with these columns; a heading that starts with `>` is aligned to the right.
    pub(crate) fn new(heads: &[&'static str]) -> Self {
        let head = |head: &&'static str| match head.strip_prefix('>') {
            Some(head) => (head.to_owned(), true),
            None => ((*head).to_owned(), false),
        };
        Self { heads: heads.iter().map(head).collect(), rows: Vec::new() }
    }

    /// A table whose columns somebody else has named.
    pub(crate) fn of(heads: &[String]) -> Self {
        let heads = heads.iter().map(|head| (one_line(head), false)).collect();
        Self { heads, rows: Vec::new() }
    }

    /// Adds a row; the style is of its first cell that is given one.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) -> &mut Self {
        self.rows.push(cells.into_iter().map(|cell| (one_line(&cell), None)).collect());
        self
    }

    /// Colours a cell of the last row.
    pub(crate) fn style(&mut self, column: usize, style: Style) {
        if let Some(cell) = self.rows.last_mut().and_then(|row| row.get_mut(column)) {
            cell.1 = Some(style);
        }
    }

    /// The table as lines.
    pub(crate) fn render(&self) -> String {
        let widths: Vec<usize> = (0..self.heads.len())
            .map(|n| {
                let cells = self.rows.iter().filter_map(|row| row.get(n));
                let widest = cells.map(|(cell, _)| columns(cell)).max();
                widest.unwrap_or(0).max(columns(&self.heads[n].0))
            })
            .collect();
        let heads = self.heads.iter().map(|(head, _)| (head.clone(), Some(Style::Strong)));
        let heads: Vec<_> = heads.collect();
        let lines = std::iter::once(&heads).chain(&self.rows);
        lines.map(|row| self.line(row, &widths)).collect()
    }

    fn line(&self, row: &[(String, Option<Style>)], widths: &[usize]) -> String {
        let mut line = String::new();
        for (n, (cell, style)) in row.iter().enumerate().take(widths.len()) {
            let blank = " ".repeat(widths[n].saturating_sub(columns(cell)));
            let shown = style.map_or_else(|| cell.clone(), |style| paint(cell, style));
            let last = n + 1 == row.len();
            let right = self.heads[n].1;
            let (before, after) = if right { (blank.as_str(), "") } else { ("", blank.as_str()) };
            line += before;
            line += &shown;
            if !last {
                line += after;
                line += &" ".repeat(GAP);
            }
        }
        format!("{}\n", line.trim_end())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let mut table = Table::new(&["NAME", ">CPU", "STATE"]);
        table.row(["a".into(), "1".into(), "running".into()]);
        table.row(["longer".into(), "16".into(), "x\x1b[31m".into()]);
        let expected = "NAME    CPU  STATE\na         1  running\nlonger   16  x [31m\n";
        assert_eq!(table.render(), expected);
    }
}
