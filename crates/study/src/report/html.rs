//! The report as one self-contained page.

use super::leaderboard::{Table, leaderboard, verdicts};
use super::markdown::provenance;
use crate::findings::Findings;
use crate::plot::{curves, escaped, intervals};

/// Colours follow the reader's own choice of light or dark.
const STYLE: &str = "\
:root{color-scheme:light dark}\
body{font:15px/1.5 system-ui,sans-serif;max-width:76rem;margin:2rem auto;padding:0 1rem;\
background:light-dark(#fff,#16181c);color:light-dark(#1b1f24,#e6e6e6)}\
table{border-collapse:collapse;margin:1rem 0;font-variant-numeric:tabular-nums}\
.wide{overflow-x:auto}\
th,td{padding:.3rem .7rem;text-align:left;border-bottom:1px solid light-dark(#d8dce2,#383c44);white-space:nowrap}\
th{font-weight:600}\
svg{max-width:100%;height:auto}\
.bad{color:light-dark(#b3261e,#ff8a80);font-weight:600}\
p.note{color:light-dark(#57606a,#9aa4af)}";

/// `leaderboard.html`.
pub(crate) fn html(findings: &Findings) -> String {
    let title = escaped(&findings.study);
    let about = paragraph(&findings.about, "");
    let provenance = paragraph(&provenance(findings), " class=\"note\"");
    let board = table(&leaderboard(findings));
    let checks = verdicts(findings)
        .map_or_else(String::new, |verdicts| format!("<h2>Expectations</h2>\n{}", table(&verdicts)));
    let (intervals, curves) = (intervals(findings), curves(findings));
    let analysis: String = findings
        .analysis
        .iter()
        .map(|section| {
            let items: String =
                section.statements.iter().map(|item| format!("<li>{}</li>\n", escaped(item))).collect();
            format!("<h3>{}</h3>\n<ul>\n{items}</ul>\n", escaped(section.title))
        })
        .collect();
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" \
         content=\"width=device-width, initial-scale=1\">\n<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n\
         <body>\n<h1>{title}</h1>\n{about}{provenance}{board}{intervals}{checks}<h2>Training curves</h2>\n{curves}\
         <h2>Analysis</h2>\n{analysis}</body>\n</html>\n"
    )
}

fn paragraph(text: &str, attributes: &str) -> String {
    if text.is_empty() { String::new() } else { format!("<p{attributes}>{}</p>\n", escaped(text.trim())) }
}

fn table(table: &Table) -> String {
    let row = |cells: &[String], tag: &str| {
        let cell = |cell: &String| {
            let class = if cell == "NOT reproduced" { " class=\"bad\"" } else { "" };
            format!("<{tag}{class}>{}</{tag}>", escaped(cell))
        };
        format!("<tr>{}</tr>\n", cells.iter().map(cell).collect::<String>())
    };
    let rows: String = table.rows.iter().map(|cells| row(cells, "td")).collect();
    format!("<div class=\"wide\"><table>\n{}{rows}</table></div>\n", row(&table.head, "th"))
}
