//! Plots as SVG within the page: scales, axes and lines. Colours are the page's styles.

use super::words::{safe, time};
use std::fmt::Write as _;

/// The drawing's width; a page scales it.
pub(super) const WIDTH: f64 = 720.0;

/// Left of the axis: labels.
const LEFT: f64 = 52.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 34.0;

/// Times at which a logarithmic axis of times may have a mark, in seconds.
const MARKS: [(u64, &str); 15] = [
    (1, "1 s"),
    (10, "10 s"),
    (60, "1 min"),
    (300, "5 min"),
    (1_800, "30 min"),
    (3_600, "1 h"),
    (4 * 3_600, "4 h"),
    (12 * 3_600, "12 h"),
    (86_400, "1 d"),
    (3 * 86_400, "3 d"),
    (10 * 86_400, "10 d"),
    (30 * 86_400, "30 d"),
    (100 * 86_400, "100 d"),
    (365 * 86_400, "1 y"),
    (3650 * 86_400, "10 y"),
];

/// Least time on a logarithmic axis, in milliseconds; what is shorter stands there.
const LEAST: f64 = 10_000.0;

/// A line: what it is, its style (`s0` is the first policy), its points.
pub(super) struct Line {
    pub(super) name: String,
    pub(super) style: usize,
    pub(super) points: Vec<(f64, f64)>,
}

/// A distribution: what it is of, its style, thousandths of the jobs with their times.
pub(super) type Curve<'a> = (String, usize, &'a [(u32, u64)]);

/// Distributions of times as rising curves, with a key above.
pub(super) fn curves(title: &str, lines: &[Curve<'_>]) -> String {
    let height = 300.0;
    let most = lines.iter().filter_map(|(_, _, curve)| Some(curve.last()?.1)).max().unwrap_or(0);
    let most = (most as f64).max(LEAST * 10.0);
    let x = |ms: f64| log(ms, most, LEFT, WIDTH - RIGHT);
    let y = |permille: f64| TOP + (1000.0 - permille) / 1000.0 * (height - TOP - BOTTOM);
    let mut svg = open(title, height);
    for percent in [0, 25, 50, 75, 100] {
        let at = y(f64::from(percent) * 10.0);
        grid_across(&mut svg, at, &format!("{percent} %"));
    }
    time_axis(&mut svg, most, height, LEFT);
    for (_, style, curve) in lines {
        let points = curve.iter().map(|(permille, ms)| (x(*ms as f64), y(f64::from(*permille))));
        path(&mut svg, *style, points);
    }
    svg.push_str("</svg>");
    let names: Vec<(String, usize)> =
        lines.iter().map(|(name, style, _)| (name.clone(), *style)).collect();
    figure(&names, &svg)
}

/// Amounts over time, below a ceiling.
pub(super) fn over_time(
    title: &str,
    lines: &[Line],
    ceiling: f64,
    marks: &[(f64, String)],
) -> String {
    let height = 240.0;
    let last = lines.iter().filter_map(|line| Some(line.points.last()?.0)).fold(1.0, f64::max);
    let x = |at: f64| LEFT + at / last * (WIDTH - LEFT - RIGHT);
    let y = |amount: f64| TOP + (1.0 - amount / ceiling) * (height - TOP - BOTTOM);
    let mut svg = open(title, height);
    for quarter in 0..=4 {
        let amount = ceiling * f64::from(quarter) / 4.0;
        grid_across(&mut svg, y(amount), &format!("{amount:.0}"));
    }
    for (at, label) in marks.iter().filter(|(at, _)| *at <= last) {
        mark(&mut svg, x(*at), height, label);
    }
    for line in lines {
        path(&mut svg, line.style, line.points.iter().map(|(at, amount)| (x(*at), y(*amount))));
    }
    svg.push_str("</svg>");
    let names: Vec<(String, usize)> =
        lines.iter().map(|line| (line.name.clone(), line.style)).collect();
    figure(&names, &svg)
}

/// A row for each group: its time under the first policy and under the last, on one axis.
pub(super) fn pairs(
    title: &str,
    names: [&str; 2],
    last: usize,
    rows: &[(String, u64, u64)],
) -> String {
    let (row, left) = (20.0, 200.0);
    let height = TOP + BOTTOM + row * rows.len() as f64;
    let most = rows.iter().map(|(_, a, b)| *a.max(b)).max().unwrap_or(0);
    let most = (most as f64).max(LEAST * 10.0);
    let x = |ms: u64| log(ms as f64, most, left, WIDTH - RIGHT - 4.0);
    let mut svg = open(title, height);
    time_axis(&mut svg, most, height, left);
    for (at, (name, first, second)) in (0..).zip(rows) {
        let y = TOP + row * (f64::from(at) + 0.5);
        let worse = if second > first { " worse" } else { "" };
        let _ = write!(
            svg,
            "<text class=\"l\" x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{name}</text>\
             <line class=\"join{worse}\" x1=\"{:.1}\" x2=\"{:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
             <circle class=\"f0\" cx=\"{:.1}\" cy=\"{y:.1}\" r=\"4\"/>\
             <rect class=\"f{last}\" x=\"{:.1}\" y=\"{:.1}\" width=\"8\" height=\"8\"/>",
            left - 8.0,
            y + 4.0,
            x(*first),
            x(*second),
            x(*first),
            x(*second) - 4.0,
            y - 4.0,
        );
    }
    svg.push_str("</svg>");
    let key = format!(
        "<span class=\"k\"><i class=\"dot b0\"></i>{}</span>\
         <span class=\"k\"><i class=\"box b{last}\"></i>{}</span>",
        safe(names[0]),
        safe(names[1])
    );
    format!("<div class=\"key\">{key}</div><div class=\"plot\">{svg}</div>")
}

fn figure(names: &[(String, usize)], svg: &str) -> String {
    let key: String = names
        .iter()
        .map(|(name, style)| {
            format!(
                "<span class=\"k\"><svg class=\"swatch\" width=\"26\" height=\"8\" \
                 aria-hidden=\"true\">\
                 <path class=\"s{style}\" d=\"M0 4H26\"/></svg>{}</span>",
                safe(name)
            )
        })
        .collect();
    format!("<div class=\"key\">{key}</div><div class=\"plot\">{svg}</div>")
}

fn open(title: &str, height: f64) -> String {
    format!("<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{}\">", safe(title))
}

fn log(ms: f64, most: f64, from: f64, to: f64) -> f64 {
    from + (ms.max(LEAST) / LEAST).ln() / (most / LEAST).ln() * (to - from)
}

fn time_axis(svg: &mut String, most: f64, height: f64, left: f64) {
    let right = if left > LEFT { WIDTH - RIGHT - 4.0 } else { WIDTH - RIGHT };
    let mut free_from = f64::MIN;
    for (seconds, label) in MARKS {
        let ms = seconds as f64 * 1000.0;
        if !(LEAST..=most).contains(&ms) {
            continue;
        }
        let at = log(ms, most, left, right);
        // Labels that would touch are left out; the lines stay.
        let label = if ms <= LEAST { format!("≤ {label}") } else { label.to_owned() };
        let fits = at - free_from > 44.0;
        free_from = if fits { at } else { free_from };
        mark(svg, at, height, if fits { &label } else { "" });
    }
}

fn mark(svg: &mut String, at: f64, height: f64, label: &str) {
    let bottom = height - BOTTOM;
    let _ = write!(
        svg,
        "<line class=\"g\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{TOP}\" y2=\"{bottom}\"/>\
         <text class=\"l\" x=\"{at:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
        bottom + 18.0,
        safe(label)
    );
}

fn grid_across(svg: &mut String, at: f64, label: &str) {
    let _ = write!(
        svg,
        "<line class=\"g\" x1=\"{LEFT}\" x2=\"{}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>\
         <text class=\"l\" x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>",
        WIDTH - RIGHT,
        LEFT - 6.0,
        at + 4.0
    );
}

fn path(svg: &mut String, style: usize, points: impl Iterator<Item = (f64, f64)>) {
    let mut line = String::new();
    for (at, (x, y)) in points.enumerate() {
        let _ = write!(line, "{}{x:.1} {y:.1}", if at == 0 { "M" } else { "L" });
    }
    let _ = write!(svg, "<path class=\"s{style}\" d=\"{line}\"/>");
}

/// Rows under a plot: the raw figures, folded away until asked for, and always there in print.
pub(super) fn raw(summary: &str, table: &str) -> String {
    format!("<details><summary>{}</summary>{table}</details>", safe(summary))
}

/// A table from cells that are markup already. A header that begins with `>` is of a column of
/// numbers.
pub(super) fn table(headers: &[&str], rows: &[Vec<String>]) -> String {
    let right = |at: usize| headers.get(at).is_some_and(|header| header.starts_with('>'));
    let class = |at: usize| if right(at) { " class=\"n\"" } else { "" };
    let head: String = headers
        .iter()
        .enumerate()
        .map(|(at, header)| {
            format!("<th{}>{}</th>", class(at), safe(header.trim_start_matches('>')))
        })
        .collect();
    let row = |row: &Vec<String>| {
        let cells = row.iter().enumerate();
        let cells: String =
            cells.map(|(at, cell)| format!("<td{}>{cell}</td>", class(at))).collect();
        format!("<tr>{cells}</tr>")
    };
    let body: String = rows.iter().map(row).collect();
    format!(
        "<div \
         class=\"scroll\"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )
}

/// Five figures of a distribution as cells.
pub(super) fn spread(spread: &crate::study::Spread) -> Vec<String> {
    [spread.mean, spread.p50, spread.p90, spread.p95, spread.p99, spread.max].map(time).to_vec()
}
