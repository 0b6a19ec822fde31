//! The header, compiled and run.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};

use kiln::Split;

use super::{Code, columns, line};
use crate::check::{Answers, Cells, cells};
use crate::numbers::numbers;
use crate::onnx::ColumnKind;
use crate::{ExportError, Input, Network};

/// What the `header` answers for all of `split`, compiled by the C compiler of this machine (`CC`, else `cc`). Where there is
/// none, what is to be said of that.
pub(crate) fn run(
    header: &[u8],
    network: &Network,
    split: &Split,
) -> Result<Result<Answers, String>, ExportError> {
    let folder = tempfile::tempdir().map_err(|cause| io("make a folder in", &std::env::temp_dir(), cause))?;
    let (source, program) = (folder.path().join("network.c"), folder.path().join("network"));
    std::fs::write(folder.path().join("network.h"), header)
        .and_then(|()| std::fs::write(&source, driver(&network.input)))
        .map_err(|cause| io("write", &source, cause))?;
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
    let built = Command::new(&compiler)
        .args(["-std=c99", "-O2", "-Wall", "-Wextra", "-Werror", "-o"])
        .args([&program, &source])
        .arg("-lm")
        .output();
    match built {
        Err(cause) => {
            return Ok(Err(format!(
                "it was not run: there is no C compiler here ({compiler}: {cause}; CC=PROGRAM names another)"
            )));
        }
        Ok(output) if !output.status.success() => {
            return Err(ExportError::Unreadable(String::from_utf8_lossy(&output.stderr).into_owned()));
        }
        Ok(_) => {}
    }
    let unrunnable = |cause| io("run", &program, cause);
    let mut child =
        Command::new(&program).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().map_err(unrunnable)?;
    let rows = rows(&network.input, split);
    let mut into = child.stdin.take().expect("it is piped");
    let writer = std::thread::spawn(move || into.write_all(&rows));
    let output = child.wait_with_output().map_err(unrunnable)?;
    writer.join().expect("writing does not panic").map_err(unrunnable)?;
    let width = 4 * (network.classes.len() + 1);
    if !output.status.success() || output.stdout.len() != width * split.len() {
        return Err(ExportError::Unreadable(format!("the compiled header ended with {}", output.status)));
    }
    let mut answers = Answers { probabilities: Vec::new(), labels: Vec::new() };
    for row in output.stdout.chunks_exact(width) {
        let (label, probabilities) = row.split_at(4);
        answers.labels.extend(numbers(label, u32::from_ne_bytes).into_iter().map(|label| label as usize));
        answers.probabilities.extend(numbers(probabilities, f32::from_ne_bytes).into_iter().map(f64::from));
    }
    Ok(Ok(answers))
}

fn io(action: &'static str, path: &std::path::Path, cause: std::io::Error) -> ExportError {
    ExportError::Io { action, path: path.to_owned(), cause }
}

/// A program that answers the rows on its standard input.
fn driver(input: &Input) -> Code {
    let mut code = Code::from("#include <stdio.h>\n#include \"network.h\"\n\nint main(void) {\n");
    line!(code, "  float probabilities[KILN_CLASSES];\n  int named;");
    match input {
        Input::Pixels(_) => {
            line!(code, "  static unsigned char pixels[KILN_FEATURES];");
            line!(code, "  while (fread(pixels, 1, KILN_FEATURES, stdin) == KILN_FEATURES) {{");
            line!(code, "    named = kiln_predict(pixels, probabilities);");
        }
        Input::Columns(preparation) => {
            let fields = columns::fields(preparation);
            line!(code, "  kiln_row row;\n  static char words[{}][65536];\n  unsigned length;", fields.len());
            line!(code, "  (void)length;\n  (void)words;\n  for (;;) {{");
            for ((at, field), (_, treatment)) in fields.iter().enumerate().zip(preparation.used()) {
                if ColumnKind::of(treatment) == ColumnKind::Words {
                    line!(code, "    if (fread(&length, 4, 1, stdin) != 1) return 0;");
                    line!(
                        code,
                        "    if (length > 65535 || fread(words[{at}], 1, length, stdin) != length) return 1;"
                    );
                    line!(code, "    words[{at}][length] = 0;\n    row.{field} = words[{at}];");
                } else {
                    line!(code, "    if (fread(&row.{field}, 8, 1, stdin) != 1) return 0;");
                }
            }
            line!(code, "    named = kiln_predict(&row, probabilities);");
        }
    }
    line!(code, "    fwrite(&named, 4, 1, stdout);\n    fwrite(probabilities, 4, KILN_CLASSES, stdout);");
    line!(code, "  }}\n  return 0;\n}}");
    code
}

/// The rows of `split` as the program reads them.
fn rows(input: &Input, split: &Split) -> Vec<u8> {
    let columns = cells(input, split, 0..split.len());
    let mut bytes = Vec::new();
    for row in 0..split.len() {
        for column in &columns {
            match column {
                Cells::Pixels { width, values } => bytes.extend_from_slice(&values[row * width..][..*width]),
                Cells::Numbers(values) => bytes.extend(values[row].to_ne_bytes()),
                Cells::Words(words) => {
                    let word = words[row].as_bytes();
                    bytes.extend((word.len() as u32).to_ne_bytes());
                    bytes.extend_from_slice(word);
                }
            }
        }
    }
    bytes
}
