//! The report in a real browser.

use std::fs;
use std::process::{Command, Stdio};

use crate::experiments::COSINE;
use crate::program::{Workplace, skip};

/// Loads the report in frames of these widths and writes down how wide it came out.
const PAGE: &str = r#"<!doctype html><body><script>
for (const width of [400, 1400]) {
  const frame = document.createElement("iframe");
  frame.width = width;
  frame.height = 900;
  frame.onload = () => {
    const line = document.createElement("p");
    const page = frame.contentDocument;
    const broken = [...page.images].filter(image => image.complete && !image.naturalWidth).length;
    line.textContent = `${width} wide: ${page.documentElement.scrollWidth <= width ? "fits" : "runs over"}, ` +
      `${page.images.length > 0 ? "with" : "without"} pictures, ${broken} broken`;
    document.body.append(line);
  };
  frame.src = "report.html";
  document.body.append(frame);
}
</script></body>"#;

/// What the page at `url` has become once it is loaded, and what the browser's console said; none where there is no browser.
pub(crate) fn load(url: &str) -> Option<(String, String)> {
    let profile = tempfile::tempdir().unwrap();
    let output = Command::new("chromium")
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files"])
        .args(["--enable-logging=stderr", "--v=0", "--timeout=60000", "--dump-dom"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(url)
        .stdin(Stdio::null())
        .output();
    match output {
        Ok(output) => {
            let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
            Some((text(output.stdout), text(output.stderr)))
        }
        Err(error) => {
            skip(&format!("chromium: {error}"));
            None
        }
    }
}

#[test]
fn the_report_is_whole_fits_a_phone_and_a_screen_and_the_console_is_silent() {
    let workplace = Workplace::new(COSINE);
    let run = workplace.train_with_report(&["training.epochs=4"]);
    // A folder with the report alone: all it needs is in it.
    let folder = tempfile::tempdir().unwrap();
    fs::copy(run.file("report.html"), folder.path().join("report.html")).unwrap();
    fs::write(folder.path().join("frames.html"), PAGE).unwrap();
    let url = |name: &str| format!("file://{}", folder.path().join(name).display());
    let Some((report, console)) = load(&url("report.html")) else { return };
    for part in
        ["findings", "training", "confusion", "classes", "curves", "examples", "experiment", "provenance"]
    {
        assert!(report.contains(&format!("<section id=\"{part}\"")), "{part} is missing");
    }
    assert!(!console.contains("CONSOLE"), "{console}");
    let (frames, console) = load(&url("frames.html")).unwrap();
    for width in [400, 1400] {
        let expected = format!("{width} wide: fits, with pictures, 0 broken");
        assert!(frames.contains(&expected), "{}\n{console}", frames.split("</script>").last().unwrap());
    }
    assert!(!console.contains("CONSOLE"), "{console}");
}
