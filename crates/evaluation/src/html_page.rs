//! A page that needs nothing but itself.

use maud::{DOCTYPE, Markup, PreEscaped, html};

/// Colours, tables, charts, phones and paper: what every page has. Colours follow the reader's own choice of light or dark.
const STYLE: &str = include_str!("html_page.css");

/// A self-contained HTML page: `style` is its CSS besides the style of all pages, `body` what stands on it.
#[must_use]
pub fn html_page(title: &str, style: &str, body: &Markup) -> String {
    html_page_with(title, style, &Markup::default(), body)
}

/// The same with `head` in its head, before anything that could load or run.
#[must_use]
pub fn html_page_with(title: &str, style: &str, head: &Markup, body: &Markup) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                (head)
                meta name="viewport" content="width=device-width, initial-scale=1";
                // Browsers ask for an icon otherwise, and note that there is none.
                link rel="icon" href="data:,";
                title { (title) }
                style { (PreEscaped(STYLE)) (PreEscaped(style)) }
            }
            body { (body) }
        }
    };
    page.into_string()
}

/// A part of a page that may be wider than the screen and then scrolls by itself, also by keyboard; `label` is its name for
/// those who do not see it, another one for each on a page.
#[must_use]
pub fn scrolled(label: &str, content: &Markup) -> Markup {
    html! { div.scroll tabindex="0" role="region" aria-label=(label) { (content) } }
}

/// A chart, as [`kiln_plot`] gives it, as wide as the page has room for; `note` says what to look for, empty for nothing.
#[must_use]
pub fn chart(svg: &str, note: &str) -> Markup {
    html! { div.chart { (PreEscaped(svg)) @if !note.is_empty() { p.note { (note) } } } }
}
