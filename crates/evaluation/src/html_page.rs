//! A page that needs nothing but itself.

use maud::{DOCTYPE, Markup, PreEscaped, html};

/// A self-contained HTML page: `style` is its CSS, `body` what stands on it.
#[must_use]
pub fn html_page(title: &str, style: &str, body: &Markup) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                // Browsers ask for an icon otherwise, and note that there is none.
                link rel="icon" href="data:,";
                title { (title) }
                style { (PreEscaped(style)) }
            }
            body { (body) }
        }
    };
    page.into_string()
}
