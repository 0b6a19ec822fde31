//! Pages in a real browser: the report, and the page of an exported or served network, which answers as Kiln does.

use std::fs;
#[cfg(feature = "serve")]
use std::io::{self, Read, Write};
#[cfg(feature = "serve")]
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
#[cfg(feature = "serve")]
use std::thread;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use image::{DynamicImage, ImageFormat, Rgb, RgbImage, Rgba, RgbaImage};
use kiln::{Framing, Mlp, Predictions, Run, Split, Trained, perceptron};
use kiln_data::{RawValues, inputs_of_picture};
use serde_json::{Value, json};

use crate::COSINE;
use crate::program::{RunFolder, TestFolder, skip};
#[cfg(feature = "serve")]
use crate::web::Served;

/// Loads the report in frames of two widths and prints whether it fits.
const FRAMES: &str = r#"<!doctype html><body><script>
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

/// The DOM of the page at `url` after loading, and the messages of the browser. Skips without a browser.
fn load(url: &str) -> Option<(String, String)> {
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
    let test_folder = TestFolder::new(COSINE);
    let run = test_folder.train_with_report(&["training.epochs=4"]);
    // The report alone: it must not need other files.
    let folder = tempfile::tempdir().unwrap();
    fs::copy(run.file("report.html"), folder.path().join("report.html")).unwrap();
    fs::write(folder.path().join("frames.html"), FRAMES).unwrap();
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

/// The tolerance between probabilities of the page and of Kiln: their last digits.
const TOLERANCE: f64 = 1e-5;

/// The built-in digits, trained well enough to classify drawn strokes.
const DIGITS: &str = r#"
name = "digits"
[model]
hidden = [64]
activation = "gelu"
[training]
epochs = 12
"#;

/// All features of the network for tables, and standard dropout.
const TABLE: &str = r#"
name = "table"
[data]
source = "csv"
path = "rows.csv"
label_column = "stays"
normalization = "robust"
[data.columns]
category = ["code"]
[model]
hidden = [16]
activation = "mish"
members = 3
dropout = 0.2
dropout_mode = "standard"
number_embedding = "periodic"
[optimizer]
name = "adam"
lr = 0.01
[training]
epochs = 8
[evaluation]
calibration = "temperature"
decision = "recall"
wished = 0.9
"#;

/// Two classes of small colour pictures.
const PICTURES: &str = r#"
name = "pictures"
[data]
source = "image-folder"
path = "pictures"
image_size = [12, 10]
[model]
hidden = [8]
[training]
epochs = 3
"#;

/// Loads `page` in a frame and returns the result of `script`, which is the body of a function of the frame's `kiln` and
/// window (`page`). `None` without a browser.
#[track_caller]
fn ask(page: &Path, script: &str) -> Option<Value> {
    let page = page.canonicalize().unwrap();
    let place = page.with_file_name("asking.html");
    fs::write(&place, asking(page.file_name().unwrap().to_str().unwrap(), script)).unwrap();
    loaded(&format!("file://{}", place.display()))
}

/// A page that loads `page` in a frame and writes the result of `script` into its own document. An open document in a second
/// frame delays the load event until the result is there.
fn asking(page: &str, script: &str) -> String {
    format!(
        "<!doctype html><pre id=\"out\"></pre><iframe id=\"frame\" width=\"1000\" height=\"1500\" src=\"{page}\"></iframe>\
         <iframe id=\"hold\"></iframe><script>\
         const held = document.getElementById(\"hold\").contentDocument; held.open();\
         document.getElementById(\"frame\").onload = async event => {{\
         const page = event.target.contentWindow; let answer;\
         try {{ answer = await (async kiln => {{ {script} }})(page.kiln); }} catch (error) {{ answer = {{ error: String(error) }}; }}\
         document.getElementById(\"out\").textContent = \"BEGIN\" + JSON.stringify(answer) + \"END\"; held.close(); }};</script>"
    )
}

/// The result that the page at `url` writes.
#[track_caller]
fn loaded(url: &str) -> Option<Value> {
    let (dom, console) = load(url)?;
    assert!(!console.contains("CONSOLE"), "{console}");
    let answer = dom.split_once("BEGIN").and_then(|(_, rest)| rest.split_once("END</pre>"));
    let (answer, _) = answer.unwrap_or_else(|| panic!("no answer: {dom:.2000}\n{console}"));
    let answer = answer.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert!(answer.get("error").is_none(), "{answer}");
    Some(answer)
}

/// Exports the page of `run` with weights of `bits` bits.
fn exported(test_folder: &TestFolder, run: &RunFolder, bits: &str) -> PathBuf {
    let name = format!("page{bits}.html");
    let arguments = ["export", run.text(), "--format", "html", "--bits", bits, "--force", "--output", &name];
    let ended = test_folder.run(&arguments).expect(0);
    assert_eq!(ended.stdout.trim(), name);
    test_folder.path().join(name)
}

fn opened(run: &RunFolder) -> Trained<Mlp> {
    Trained::open(Run::open(run.path()).unwrap(), None, perceptron).unwrap()
}

fn levels(split: &Split, position: usize) -> &[u8] {
    let RawValues::Bytes(levels) = split.raw(position) else { panic!("pictures are bytes") };
    levels
}

/// The largest difference of a probability. Classes must be equal, except for ties.
#[track_caller]
fn compared(answers: &[Value], expected: &Predictions) -> f64 {
    assert_eq!(answers.len(), expected.len());
    let mut greatest = 0.0_f64;
    for (at, answer) in answers.iter().enumerate() {
        let of = |class: &str| answer["probabilities"][class].as_f64().unwrap();
        for (class, &probability) in expected.classes().iter().zip(expected.probabilities(at)) {
            greatest = greatest.max((of(class) - f64::from(probability)).abs());
        }
        let wanted = &expected.classes()[expected.predicted()[at] as usize];
        let named = answer["class"].as_str().unwrap();
        assert!(named == wanted || (of(named) - of(wanted)).abs() < TOLERANCE, "example {at}: {answer}");
    }
    greatest
}

#[test]
fn the_page_answers_for_digits_as_the_evaluation_did() {
    let test_folder = TestFolder::new(DIGITS);
    let run = test_folder.train(&[]);
    test_folder.run(&["evaluate", run.text(), "--split", "train"]).expect(0);
    let expected = Predictions::read(&run.file("evaluation/train/predictions.csv")).unwrap();
    let split = opened(&run).own_split("train", &kiln_data::NoProgress).unwrap();
    let rows: Vec<&[u8]> = (0..1000).map(|at| levels(&split, at)).collect();
    let script = format!("return {}.map(levels => kiln.predict(levels));", json!(rows));
    let Some(answers) = ask(&exported(&test_folder, &run, "32"), &script) else { return };
    let all: Vec<usize> = (0..1000).collect();
    let first = Predictions::new(
        expected.classes().to_vec(),
        all.iter().map(|&at| expected.truth()[at]).collect(),
        all.iter().map(|&at| expected.predicted()[at]).collect(),
        all.iter().flat_map(|&at| expected.probabilities(at).to_vec()).collect(),
        all.iter().map(|&at| expected.loss()[at]).collect(),
    );
    let difference = compared(answers.as_array().unwrap(), &first.unwrap());
    assert!(difference < TOLERANCE, "{difference}");

    let half = exported(&test_folder, &run, "16");
    let text = fs::read_to_string(&half).unwrap();
    assert!(
        text.contains("The weights are rounded to 16 bits. On 360 test examples"),
        "the cost of rounding is stated"
    );
    assert!(text.len() < fs::read_to_string(test_folder.path().join("page32.html")).unwrap().len());
    let answers = ask(&half, &script).unwrap();
    let changed = answers.as_array().unwrap().iter().enumerate();
    let changed = changed.filter(|(at, answer)| {
        answer["class"] != expected.classes()[expected.predicted()[*at] as usize].as_str()
    });
    assert!(changed.count() <= 2);
}

/// Draws strokes by pointer events.
const STROKES: &str = r#"
const canvas = page.document.getElementById("canvas"), clear = page.document.getElementById("clear");
const fire = (type, [x, y]) => {
  const box = canvas.getBoundingClientRect();
  canvas.dispatchEvent(new page.PointerEvent(type, {
    bubbles: true, cancelable: true, button: 0, pointerId: 1,
    clientX: box.left + x * box.width / canvas.width, clientY: box.top + y * box.height / canvas.height,
  }));
};
const draw = points => {
  fire("pointerdown", points[0]);
  points.slice(1).forEach((to, at) => {
    const from = points[at];
    for (let k = 1; k <= 10; k++) fire("pointermove", from.map((side, axis) => side + (to[axis] - side) * k / 10));
  });
  fire("pointerup", points.at(-1));
};
const ring = Array.from({ length: 24 }, (_, k) => [160 + 70 * Math.sin(k / 3.6), 160 - 95 * Math.cos(k / 3.6)]);
const shapes = [[[150, 40], [150, 270]], [[90, 60], [220, 60], [140, 250]], ring, [[2, 2], [60, 200]]];
const text = id => page.document.getElementById(id).textContent;
const found = { before: kiln.seen(), drawn: [] };
for (const points of shapes) {
  clear.click();
  draw(points);
  const answer = await kiln.predict(kiln.seen());
  for (let tries = 0; tries < 200 && text("named") !== answer.class; tries++) {
    await new Promise(done => setTimeout(done, 50));
  }
  const shown = ["named", "problem"].map(text), png = canvas.toDataURL().split(",")[1];
  found.drawn.push({ seen: kiln.seen(), answer, shown, png });
}
return found;
"#;

#[test]
fn the_page_sees_strokes_as_kiln_sees_the_same_picture() {
    let test_folder = TestFolder::new(DIGITS);
    let run = test_folder.train(&[]);
    let Some(found) = ask(&exported(&test_folder, &run, "32"), STROKES) else { return };
    check_strokes(&found, &opened(&run));
}

#[cfg(feature = "serve")]
#[test]
fn the_page_of_a_server_sees_strokes_and_asks_that_server() {
    let test_folder = TestFolder::new(DIGITS);
    let run = test_folder.train(&[]);
    let served = Served::start(&test_folder, &["latest"]);
    let Some(found) = ask_served(&served, STROKES) else { return };
    check_strokes(&found, &opened(&run));
    let asked = served
        .get("/metrics")
        .text()
        .lines()
        .find_map(|line| line.strip_prefix("kiln_rows_total{model=\"digits\"} ")?.parse::<u32>().ok());
    assert!(asked.unwrap() >= 8, "requests for the shown answers and by the script: {asked:?}");
}

/// Like [`ask`], for the page that a server shows for its only model.
#[cfg(feature = "serve")]
#[track_caller]
fn ask_served(served: &Served, script: &str) -> Option<Value> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/asking", listener.local_addr().unwrap());
    let (asking, address) = (asking("/", script), served.address().to_owned());
    // This thread ends with the test process.
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (asking, address) = (asking.clone(), address.clone());
            thread::spawn(move || forward(stream?, &asking, &address));
        }
    });
    loaded(&url)
}

/// Answers a request for `/asking`, so that the asking page has the same origin as the server's page. Forwards all other
/// connections to the server at `address`.
#[cfg(feature = "serve")]
fn forward(mut stream: TcpStream, asking: &str, address: &str) -> io::Result<()> {
    let mut first = [0; 12];
    stream.read_exact(&mut first)?;
    if first == *b"GET /asking " {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/html; charset=utf-8\r\nconnection: close\r\n";
        return write!(stream, "{head}content-length: {}\r\n\r\n{asking}", asking.len());
    }
    let mut other = TcpStream::connect(address)?;
    other.write_all(&first)?;
    let (mut to_server, mut from_browser) = (other.try_clone()?, stream.try_clone()?);
    thread::spawn(move || {
        let sent = io::copy(&mut from_browser, &mut to_server);
        to_server.shutdown(Shutdown::Write).and(sent.map(|_| ()))
    });
    io::copy(&mut other, &mut stream)?;
    stream.shutdown(Shutdown::Write)
}

/// Checks that the page sees and classifies the strokes as Kiln does.
#[track_caller]
fn check_strokes(found: &Value, trained: &Trained<Mlp>) {
    assert_eq!(found["before"], Value::Null);
    let mut named = Vec::new();
    for drawn in found["drawn"].as_array().unwrap() {
        let png = STANDARD.decode(drawn["png"].as_str().unwrap()).unwrap();
        let inputs = inputs_of_picture(&png, trained.profile(), Framing::of(trained.profile())).unwrap();
        assert!(inputs.is_prepared);
        let seen: Vec<u8> = serde_json::from_value(drawn["seen"].clone()).unwrap();
        assert_eq!(seen, levels(&inputs.examples, 0));
        let answer = std::slice::from_ref(&drawn["answer"]);
        assert!(compared(answer, &trained.predict(&inputs.examples)) < TOLERANCE);
        assert_eq!(drawn["shown"], json!([answer[0]["class"], ""]));
        named.push(answer[0]["class"].as_str().unwrap());
    }
    assert_eq!(named[1..3], ["7", "0"]);
}

/// Colour, grey and half-transparent pictures that do not have the input size of the network.
fn photos() -> Vec<Vec<u8>> {
    let colourful = RgbImage::from_fn(37, 53, |x, y| Rgb([(x * 6) as u8, (y * 4) as u8, (x * y) as u8]));
    let grey = RgbImage::from_fn(9, 7, |x, y| Rgb([(x * 20 + y * 3) as u8; 3]));
    let clear =
        RgbaImage::from_fn(24, 20, |x, y| Rgba([200, (x * 9) as u8, 30, if y < 10 { 255 } else { 0 }]));
    let as_png = |picture: DynamicImage| {
        let mut bytes = std::io::Cursor::new(Vec::new());
        picture.write_to(&mut bytes, ImageFormat::Png).unwrap();
        bytes.into_inner()
    };
    [colourful.into(), grey.into(), clear.into()].into_iter().map(as_png).collect()
}

#[test]
fn the_page_resizes_photos_as_kiln_does() {
    let test_folder = TestFolder::new(PICTURES);
    for (class, red) in [("warm", 220), ("cold", 30)] {
        let folder = test_folder.path().join("pictures").join(class);
        fs::create_dir_all(&folder).unwrap();
        for number in 0..20_u8 {
            let pixel = |x: u32, y: u32| Rgb([red - number, (x * 9) as u8 + number, (y * 11) as u8]);
            RgbImage::from_fn(14, 14, pixel).save(folder.join(format!("{number}.png"))).unwrap();
        }
    }
    let run = test_folder.train(&[]);
    let photos = photos();
    let encoded: Vec<String> = photos.iter().map(|png| STANDARD.encode(png)).collect();
    let script = format!(
        "const found = []; for (const text of {}) {{ \
         const bytes = Uint8Array.from(atob(text), letter => letter.charCodeAt(0)); \
         await kiln.open(new Blob([bytes])); found.push(kiln.seen()); }} return found;",
        json!(encoded)
    );
    let Some(found) = ask(&exported(&test_folder, &run, "32"), &script) else { return };
    let trained = opened(&run);
    for (png, seen) in photos.iter().zip(found.as_array().unwrap()) {
        let inputs = inputs_of_picture(png, trained.profile(), Framing::Resize).unwrap();
        let seen: Vec<u8> = serde_json::from_value(seen.clone()).unwrap();
        let wanted = levels(&inputs.examples, 0);
        assert_eq!(seen.len(), wanted.len());
        let differences = seen.iter().zip(wanted).map(|(seen, wanted)| seen.abs_diff(*wanted));
        assert!(differences.max().unwrap() <= 1, "{seen:?} {wanted:?}");
    }
}

/// Numbers, names, words, dates and missing values. With `odd`, also values that no training row has.
fn rows(range: std::ops::Range<u32>, odd: bool) -> Vec<[String; 7]> {
    let row = |row: u32| {
        let wave = |speed: f64| (f64::from(row) * speed).sin();
        let (age, income) = (40.0 + 15.0 * wave(1.3), (10.0 + wave(2.1) + wave(0.37)).exp());
        let plan = ["basic", "plus", "gold"][row as usize * 7 % 3];
        let day = 1 + row * 11 % 28;
        let stays = wave(1.3) + wave(0.11) + f64::from(u8::from(plan == "gold")) > 0.4;
        let gap = |value: String, every: u32| if row.is_multiple_of(every) { String::new() } else { value };
        let strange = |value: String, every: u32, other: &str| {
            if odd && row.is_multiple_of(every) { other.to_owned() } else { value }
        };
        [
            strange(gap(format!("{age:.2}"), 9), 13, "400"),
            format!("{income:.1}"),
            strange(gap(plan.to_owned(), 11), 17, "platinum"),
            strange(gap((if wave(0.9) > 0.0 { "yes" } else { "no" }).to_owned(), 14), 19, "perhaps"),
            gap(format!("20{:02}-{:02}-{day:02}", 10 + row % 13, 1 + row % 12), 21),
            (row % 4).to_string(),
            (if stays { "yes" } else { "no" }).to_owned(),
        ]
    };
    range.map(row).collect()
}

const COLUMNS: [&str; 7] = ["age", "income", "plan", "mail", "since", "code", "stays"];

/// The first `columns` columns of `rows` as CSV.
fn csv(rows: &[[String; 7]], columns: usize) -> String {
    let lines = rows.iter().map(|row| row[..columns].join(",") + "\n");
    COLUMNS[..columns].join(",") + "\n" + &lines.collect::<String>()
}

/// `rows` as JSON for a prediction: without the class.
fn asked_in_json(rows: &[[String; 7]]) -> Value {
    let cells = |row: &[String; 7]| -> Value {
        COLUMNS[..6].iter().zip(row).map(|(name, cell)| ((*name).to_owned(), json!(cell))).collect()
    };
    rows.iter().map(cells).collect()
}

#[test]
fn the_page_answers_for_rows_of_a_table_as_kiln_does() {
    let test_folder = TestFolder::new(TABLE);
    fs::write(test_folder.path().join("rows.csv"), csv(&rows(0..900, false), 7)).unwrap();
    let asked = rows(900..1900, true);
    fs::write(test_folder.path().join("asked.csv"), csv(&asked, 6)).unwrap();
    let sigmoid = ["model.members=1", "model.output=sigmoid", "loss.name=mse", "data.normalization=quantile"];
    for overrides in [&[][..], &sigmoid] {
        let run = test_folder.train(overrides);
        let script = format!("return {}.map(row => kiln.predict(row));", asked_in_json(&asked));
        let Some(answers) = ask(&exported(&test_folder, &run, "32"), &script) else { return };
        let answers = answers.as_array().unwrap();
        let trained = opened(&run);
        let inputs = trained.inputs(&test_folder.path().join("asked.csv"), None).unwrap();
        let difference = compared(answers, &trained.predict(&inputs.examples));
        assert!(difference < TOLERANCE, "{difference}");
        for (row, answer) in asked.iter().zip(answers) {
            let warnings = answer["warnings"].to_string();
            assert!(row[0] != "400" || warnings.contains("age: outside"), "{row:?} {warnings}");
            assert_eq!(warnings.contains("platinum"), row[2] == "platinum", "{row:?} {warnings}");
        }
        let form = "page.frameElement.width = 400; const form = kiln.seen();
            return [form, kiln.predict(form), page.document.documentElement.scrollWidth];";
        let form = ask(&test_folder.path().join("page32.html"), form).unwrap();
        assert!(form[2].as_u64().unwrap() <= 400, "it fits a phone: {}", form[2]);
        assert_eq!(form[0].as_object().unwrap().len(), 6);
        assert_eq!(form[1]["warnings"], json!([]), "typical values are within the range: {form}");
    }
}

/// Predicts rows, and returns what the form shows before and after another value is typed into its first field.
#[cfg(feature = "serve")]
const FILLING: &str = r#"
const rest = () => new Promise(done => setTimeout(done, 50)), text = id => page.document.getElementById(id).textContent;
const is = async wanted => { for (let tries = 0; tries < 200 && !wanted(); tries++) await rest(); };
const answers = [];
for (const row of rows) answers.push(await kiln.predict(row));
await is(() => text("sure"));
const before = text("sure"), field = page.document.querySelector("input[type=number]");
field.value = 400;
field.dispatchEvent(new page.Event("input", { bubbles: true }));
await is(() => text("unusual"));
return { answers, before, row: kiln.seen(), shown: ["sure", "unusual", "problem"].map(text) };
"#;

#[cfg(feature = "serve")]
#[test]
fn the_page_of_a_server_has_a_form_for_the_rows_of_a_table() {
    let test_folder = TestFolder::new(TABLE);
    fs::write(test_folder.path().join("rows.csv"), csv(&rows(0..900, false), 7)).unwrap();
    let asked = rows(900..950, true);
    fs::write(test_folder.path().join("asked.csv"), csv(&asked, 6)).unwrap();
    let run = test_folder.train(&[]);
    let served = Served::start(&test_folder, &["latest"]);
    let script = format!("const rows = {};{FILLING}", asked_in_json(&asked));
    let Some(found) = ask_served(&served, &script) else { return };
    let trained = opened(&run);
    let inputs = trained.inputs(&test_folder.path().join("asked.csv"), None).unwrap();
    let difference = compared(found["answers"].as_array().unwrap(), &trained.predict(&inputs.examples));
    assert!(difference < TOLERANCE, "{difference}");
    assert_eq!(found["row"]["age"], json!(400));
    assert_ne!(found["shown"][0], found["before"], "the answer has moved");
    assert!(found["shown"][1].as_str().unwrap().contains("age: outside"), "{found}");
    assert_eq!(found["shown"][2], json!(""));
}
