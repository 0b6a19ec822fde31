//! `kiln serve`: what is answered, what is refused and why, limits, reload, and the end.

use std::fs;
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::program::{DEADLINE, Workplace, wait_for};
use crate::web::{Answer, Served, request};

const DIGITS: &str =
    "name = \"digits\"\n[data]\nsource = \"digits\"\n[model]\nhidden = [32]\n[training]\nepochs = 2\n";
const TABLE: &str = "name = \"fruit\"\n[data]\nsource = \"csv\"\npath = \"fruit.csv\"\nlabel_column = \"kind\"\n\
                     [model]\nhidden = [16]\n[training]\nepochs = 3\n[evaluation]\nbaselines = false\n";

fn digits() -> Workplace {
    let workplace = Workplace::new(DIGITS);
    workplace.train(&[]);
    workplace
}

/// Rows that a network can learn from: numbers, of which some are missing, and names.
fn fruit() -> Workplace {
    let workplace = Workplace::new(TABLE);
    let mut file = fs::File::create(workplace.path().join("fruit.csv")).unwrap();
    writeln!(file, "weight,colour,ripe,kind").unwrap();
    for row in 0..300 {
        let weight = if row % 17 == 0 { String::new() } else { format!("{}.5", 50 + row * 7 % 200) };
        let colour = ["red", "green", "yellow"][row % 3];
        let kind = if row * 7 % 200 > 90 { "apple" } else { "plum" };
        writeln!(file, "{weight},{colour},{},{kind}", if row % 2 == 0 { "yes" } else { "no" }).unwrap();
    }
    workplace.train(&[]);
    workplace
}

/// Pictures of the size of digits, all different.
fn pictures(count: usize) -> Vec<u8> {
    (0..count * 64).map(|at| (at / 64 * 31 + at * at * 7 % 1013) as u8 % 17).collect()
}

/// An inference request with binary tensors both ways, and the length of its JSON.
fn binary(pixels: &[u8]) -> (Vec<u8>, String) {
    let head = json!({
        "inputs": [{
            "name": "pixels", "datatype": "UINT8", "shape": [pixels.len() / 64, 1, 8, 8],
            "parameters": { "binary_data_size": pixels.len() },
        }],
        "outputs": [{ "name": "probabilities", "parameters": { "binary_data": true } }],
    })
    .to_string();
    let length = head.len().to_string();
    ([head.as_bytes(), pixels].concat(), length)
}

/// The bytes of the probabilities of `pixels`.
fn probabilities(answer: &Answer) -> Vec<u8> {
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    let length: usize = answer.header("inference-header-content-length").unwrap().parse().unwrap();
    answer.body[length..].to_vec()
}

fn ask(served: &Served, pixels: &[u8]) -> Vec<u8> {
    let (body, length) = binary(pixels);
    let headers = [("Inference-Header-Content-Length", &*length)];
    probabilities(&served.ask("POST", "/v2/models/digits/infer", &headers, &body))
}

#[test]
fn a_server_speaks_the_open_inference_protocol() {
    let workplace = digits();
    let served = Served::start(&workplace, &["latest", "second=latest"]);
    assert_eq!(served.get("/v2/health/live").expect(200), json!({ "live": true }));
    assert_eq!(served.get("/v2/health/ready").expect(200), json!({ "live": true, "ready": true }));
    assert_eq!(served.get("/v2").expect(200)["extensions"], json!(["binary_tensor_data", "classification"]));
    let metadata = served.get("/v2/models/digits").expect(200);
    assert_eq!(
        metadata["inputs"],
        json!([{ "name": "pixels", "datatype": "UINT8", "shape": [-1, 1, 8, 8] }])
    );
    let version = metadata["versions"][0].as_str().unwrap();
    let of_version = format!("/v2/models/digits/versions/{version}");
    assert_eq!(served.get(&of_version).expect(200), metadata);
    assert_eq!(served.get(&format!("{of_version}/ready")).expect(200)["ready"], json!(true));

    let pixels = pictures(2);
    let flat = json!({ "id": "seven", "inputs": [
        { "name": "pixels", "datatype": "UINT8", "shape": [2, 64], "data": pixels }] });
    let answer = served.post("/v2/models/digits/infer", &flat).expect(200);
    assert_eq!((&answer["id"], &answer["model_version"]), (&json!("seven"), &json!(version)));
    let shapes: Vec<&Value> =
        answer["outputs"].as_array().unwrap().iter().map(|output| &output["shape"]).collect();
    assert_eq!(shapes, [&json!([2, 10]), &json!([2]), &json!([2])]);
    let found: Vec<f32> = serde_json::from_value(answer["outputs"][0]["data"].clone()).unwrap();
    let bytes: Vec<u8> = found.iter().flat_map(|value| value.to_le_bytes()).collect();
    assert_eq!(bytes, ask(&served, &pixels), "JSON and binary are the same bits");
    let rows: Vec<Vec<&[u8]>> = pixels.chunks(64).map(|picture| picture.chunks(8).collect()).collect();
    let nested = json!({ "inputs": [{ "name": "pixels", "datatype": "FP32", "shape": [2, 8, 8], "data": rows }],
        "outputs": [{ "name": "probabilities" }] });
    let same = served.post(&format!("{of_version}/infer"), &nested).expect(200);
    assert_eq!(same["outputs"], json!([answer["outputs"][0]]));
    let top = json!({ "inputs": flat["inputs"],
        "outputs": [{ "name": "probabilities", "parameters": { "classification": 2 } }, { "name": "class" }] });
    let top = served.post("/v2/models/second/infer", &top).expect(200);
    assert_eq!(top["outputs"][0]["shape"], json!([2, 2]));
    let first = top["outputs"][0]["data"][0].as_str().unwrap().split(':').collect::<Vec<_>>();
    assert_eq!(first[2], top["outputs"][1]["data"][0].as_str().unwrap());
    assert_eq!(first[0].parse::<f32>().unwrap(), found[first[1].parse::<usize>().unwrap()]);

    let page = served.get("/metrics");
    assert!(page.text().contains("kiln_rows_total{model=\"digits\"} 6\n"), "{}", page.text());
    for path in ["/models/digits", "/models/second"] {
        assert!(served.get("/").text().contains(&format!("href=\"{path}\"")));
        assert!(served.get(path).text().contains(&format!("\"/v2{path}/infer\"")));
    }
    for path in ["/", "/docs", "/openapi.json"] {
        let answer = served.get(path);
        assert_eq!(answer.status, 200);
        assert!(!answer.text().contains("http://") && !answer.text().contains("https://"), "{path}");
    }
}

#[test]
fn what_is_wrong_is_said_and_harms_nobody() {
    let workplace = digits();
    let served = Served::start(&workplace, &["latest", "--max-rows", "100"]);
    let infer = "/v2/models/digits/infer";
    let input = |shape: Value, datatype: &str, data: Value| json!({ "inputs": [{ "name": "pixels", "shape": shape, "datatype": datatype, "data": data }] });
    let pixels = || json!(vec![0; 64]);
    for (body, status, texts) in [
        (input(json!([-1, 64]), "UINT8", pixels()), 400, &["\"pixels\"", "a shape", "[-1, 64]"][..]),
        (input(json!([1_i64 << 40, 1_i64 << 40]), "UINT8", pixels()), 400, &["\"pixels\"", "a shape"]),
        (input(json!([0, 64]), "UINT8", json!([])), 400, &["a shape"]),
        (input(json!([1, 65]), "UINT8", pixels()), 400, &["65 values for shape [1, 65], found 64"]),
        (input(json!([2, 32]), "UINT8", pixels()), 400, &["[pictures, 1, 8, 8]", "[2, 32]"]),
        (
            input(json!([1, 64]), "UINT8", json!(vec![17; 64])),
            400,
            &["row 0", "from 0 to 16", "17 at pixel 0"],
        ),
        (input(json!([1, 64]), "FP32", json!(vec![0.5; 64])), 400, &["whole numbers", "0.5"]),
        (input(json!([1, 64]), "FP32", json!(vec![Value::Null; 64])), 400, &["NaN or null"]),
        (input(json!([1, 64]), "BYTES", json!(vec!["0"; 64])), 400, &["expected numbers, found strings"]),
        (input(json!([1, 64]), "FP8", pixels()), 400, &["unknown variant `FP8`"]),
        (input(json!([101, 64]), "UINT8", json!(vec![0; 64 * 101])), 413, &["100 at most, found 101"]),
        (json!({ "inputs": [] }), 400, &["one, \"pixels\"", "none"]),
        (
            json!({ "inputs": [{ "name": "x", "shape": [1], "datatype": "FP32", "data": [1] }] }),
            400,
            &["found \"x\""],
        ),
        (json!([]), 400, &["expected an object"]),
    ] {
        served.post(infer, &body).refused(status, texts);
    }
    let good = input(json!([1, 64]), "UINT8", pixels());
    let mut odd = good.clone();
    odd["outputs"] = json!([{ "name": "logits" }]);
    served.post(infer, &odd).refused(400, &["output \"logits\"", "\"probabilities\""]);
    served.post("/v2/models/none/infer", &good).refused(404, &["\"none\"", "the models are \"digits\""]);
    served.post("/v2/models/digits/versions/3/infer", &good).refused(404, &["no version \"3\""]);
    served.get("/no/such/path").refused(404, &["/no/such/path"]);
    let wrong = served.get(infer);
    wrong.refused(405, &["\"GET\""]);
    assert_eq!(wrong.header("allow"), Some("POST"));
    let text = good.to_string();
    let as_type = |name: &str, value: &str| served.ask("POST", infer, &[(name, value)], text.as_bytes());
    as_type("Content-Type", "text/xml").refused(415, &["Content-Type", "\"text/xml\""]);
    as_type("Content-Encoding", "br").refused(415, &["gzip, deflate", "\"br\""]);
    as_type("Content-Encoding", "gzip").refused(400, &["Content-Encoding"]);
    as_type("Inference-Header-Content-Length", "99999").refused(400, &["Inference-Header-Content-Length"]);
    served.ask("POST", infer, &[], b"{\"inputs\": [NaN]}").refused(400, &["not an inference request"]);
    served.post("/v2/repository/models/digits/load", &json!({})).refused(403, &["--allow-reload"]);
    served
        .ask("POST", "/predict", &[("Content-Type", "image/png")], b"no picture")
        .refused(422, &["picture"]);
    served.post("/predict", &json!({ "images": ["*"] })).refused(422, &["base64"]);
    // A body that is cut short: the client goes away.
    let mut client = served.connect().unwrap();
    client.send(&request("POST", infer, &[], text.as_bytes())[..200]).unwrap();
    drop(client);
    served.post(infer, &good).expect(200);
    assert!(!served.process.stderr().contains("panicked"), "{}", served.process.stderr());
}

#[test]
fn pictures_and_rows_come_as_plain_json_beside_bad_ones() {
    let workplace = digits();
    let served = Served::start(&workplace, &["latest"]);
    let mut png = std::io::Cursor::new(Vec::new());
    let picture =
        image::GrayImage::from_fn(20, 20, |x, y| image::Luma([if x / 4 == 2 && y > 2 { 250 } else { 5 }]));
    picture.write_to(&mut png, image::ImageFormat::Png).unwrap();
    fs::write(workplace.path().join("one.png"), png.get_ref()).unwrap();
    let expected = workplace.run(&["predict", "latest", "one.png", "--output", "-"]).expect(0).stdout;
    let expected: Vec<&str> = expected.lines().nth(1).unwrap().split(',').collect();
    let plain = served.ask("POST", "/predict", &[("Content-Type", "image/png")], png.get_ref()).expect(200);
    let found = &plain["predictions"][0];
    assert_eq!(found["class"], json!(expected[1]));
    for class in 0..10 {
        let probability = found["probabilities"][class.to_string()].as_f64().unwrap() as f32;
        assert_eq!(probability.to_string(), expected[2 + class]);
    }
    let encoded = STANDARD.encode(png.get_ref());
    let three = json!({ "images": [encoded, "AAAA", format!("data:image/png;base64,{encoded}")] });
    let three = served.post("/models/digits/predict", &three).expect(200);
    assert_eq!((&three["predictions"][0], &three["predictions"][2]), (found, found));
    assert!(three["predictions"][1]["error"].as_str().unwrap().contains("picture"));
    let part = "--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"one.png\"\r\n\r\n";
    let body = [part.as_bytes(), png.get_ref(), b"\r\n--b--\r\n"].concat();
    let kind = [("Content-Type", "multipart/form-data; boundary=b")];
    assert_eq!(&served.ask("POST", "/predict", &kind, &body).expect(200)["predictions"][0], found);
    // Larger than what the parser of forms takes by itself.
    let noise = image::RgbImage::from_fn(1000, 1000, |x, y| {
        let at = x.wrapping_mul(2_654_435_761).wrapping_add(y.wrapping_mul(40_503)).wrapping_mul(x ^ y);
        image::Rgb([at as u8, (at >> 8) as u8, (at >> 16) as u8])
    });
    let mut large = std::io::Cursor::new(Vec::new());
    noise.write_to(&mut large, image::ImageFormat::Png).unwrap();
    assert!(large.get_ref().len() > 2 << 20);
    let body = [part.as_bytes(), large.get_ref(), b"\r\n--b--\r\n"].concat();
    served.ask("POST", "/predict", &kind, &body).refused(422, &["something drawn on a plain background"]);
}

#[test]
fn rows_get_what_kiln_predict_says_and_drift_is_counted() {
    let workplace = fruit();
    let rows = "weight,colour,ripe\n120.5,red,yes\n,green,no\n900,blue,no\nheavy,red,yes\n";
    fs::write(workplace.path().join("rows.csv"), rows).unwrap();
    let expected = workplace.run(&["predict", "latest", "rows.csv", "--output", "-"]).expect(0).stdout;
    let expected: Vec<Vec<&str>> = expected.lines().skip(1).map(|line| line.split(',').collect()).collect();
    let served = Served::start(&workplace, &["latest"]);
    let rows = json!({ "rows": [
        { "weight": 120.5, "colour": "red", "ripe": "yes", "kind": "not used" },
        { "weight": null, "colour": "green", "ripe": "no" },
        { "weight": "900", "colour": "blue", "ripe": "no" },
        { "weight": "heavy", "colour": "red", "ripe": "yes" },
        { "weight": 1, "colour": "red" },
        7,
    ] });
    let found = served.post("/predict", &rows).expect(200);
    for (row, expected) in expected.iter().take(3).enumerate() {
        let found = &found["predictions"][row];
        assert_eq!(found["class"], json!(expected[3]));
        for (class, expected) in ["apple", "plum"].iter().zip(&expected[4..6]) {
            assert_eq!((found["probabilities"][class].as_f64().unwrap() as f32).to_string(), **expected);
        }
    }
    let warnings = |row: usize| found["predictions"][row]["warnings"].clone();
    assert_eq!(warnings(0), json!([]));
    assert_eq!(warnings(1), json!(["weight: missing"]));
    assert_eq!(warnings(2), json!(["weight: outside 50.5 to 249.5", "colour: unknown \"blue\""]));
    let error = |row: usize| found["predictions"][row]["error"].as_str().unwrap().to_owned();
    assert_eq!(error(3), "column \"weight\": expected a finite number, found \"heavy\"");
    assert!(error(4).contains("\"ripe\"") && error(5).contains("found a number"), "{found}");
    let one = served.post("/predict", &rows["rows"][0]).expect(200);
    assert_eq!(one["predictions"][0], found["predictions"][0]);
    let mut yes = rows["rows"][0].clone();
    yes["ripe"] = true.into();
    let yes = served.post("/predict", &yes).expect(200);
    assert_eq!(yes["predictions"][0], found["predictions"][0], "true is the column's own word for it");
    served.post("/predict", &rows["rows"][4]).refused(422, &["\"ripe\""]);

    let column = |name: &str, datatype: &str, data: Value| json!({ "name": name, "datatype": datatype, "shape": [2, 1], "data": data });
    let weight = column("weight", "FP64", json!([120.5, null]));
    let inputs = |weight: &Value| json!({ "inputs": [column("ripe", "BYTES", json!(["yes", "no"])), weight, column("colour", "BYTES", json!(["red", "green"]))] });
    let answer = served.post("/v2/models/fruit/infer", &inputs(&weight)).expect(200);
    for row in 0..2 {
        assert_eq!(
            answer["outputs"][0]["data"][row * 2],
            found["predictions"][row]["probabilities"]["apple"]
        );
        assert_eq!(answer["outputs"][2]["data"][row], found["predictions"][row]["class"]);
    }
    let heavy = column("weight", "BYTES", json!(["1", "heavy"]));
    served
        .post("/v2/models/fruit/infer", &inputs(&heavy))
        .refused(400, &["input \"weight\", row 1", "\"heavy\""]);
    let twice = json!({ "inputs": [weight, weight] });
    served.post("/v2/models/fruit/infer", &twice).refused(400, &["each input once"]);
    served
        .post("/v2/models/fruit/infer", &json!({ "inputs": [weight] }))
        .refused(400, &["no \"colour\", \"ripe\""]);
    let page = served.get("/metrics");
    for line in [
        "kiln_unknown_values_total{model=\"fruit\",column=\"colour\"} 1",
        "kiln_values_out_of_range_total{model=\"fruit\",column=\"weight\"} 1",
        "kiln_requests_total{model=\"fruit\",outcome=\"ok\"} 4",
        "kiln_refused_rows_total{model=\"fruit\"} 3",
    ] {
        assert!(page.text().contains(line), "{line} in {}", page.text());
    }
}

#[test]
fn an_answer_has_the_same_bits_alone_among_a_thousand_and_under_load() {
    for overrides in [&[][..], &["model.members=3", "evaluation.calibration=\"temperature\""]] {
        let workplace = Workplace::new(DIGITS);
        workplace.train(overrides);
        let served = Served::start(&workplace, &["latest"]);
        let pixels = pictures(1000);
        let together = ask(&served, &pixels);
        assert_eq!(together.len(), 1000 * 40);
        thread::scope(|scope| {
            for thread in 0..4 {
                let (served, pixels, together) = (&served, &pixels, &together);
                scope.spawn(move || {
                    let mut client = served.connect().unwrap();
                    for first in (thread * 7..990).step_by(13) {
                        let count = 1 + (first + thread) % 9;
                        let (body, length) = binary(&pixels[first * 64..][..count * 64]);
                        let headers = [("Inference-Header-Content-Length", &*length)];
                        let answer = client.ask("POST", "/v2/models/digits/infer", &headers, &body).unwrap();
                        assert!(
                            probabilities(&answer) == together[first * 40..][..count * 40],
                            "{first} {count}"
                        );
                    }
                });
            }
            scope.spawn(|| assert!((0..5).all(|_| ask(&served, &pixels) == together)));
        });
    }
}

#[test]
fn limits_are_kept() {
    let workplace = digits();
    let arguments = ["latest", "--max-body", "1", "--max-concurrency", "1", "--timeout", "1"];
    let served = Served::start(&workplace, &arguments);
    let infer = "/v2/models/digits/infer";
    let (body, length) = binary(&pictures(1));
    let headers = [("Inference-Header-Content-Length", &*length)];
    // Announced, it is refused before it is there; unannounced, when it is too much.
    let mut client = served.connect().unwrap();
    client
        .send(format!("POST {infer} HTTP/1.1\r\nHost: k\r\nContent-Length: 2000000\r\n\r\n").as_bytes())
        .unwrap();
    client.answer().unwrap().refused(413, &["1048576 bytes at most", "2000000"]);
    let mut client = served.connect().unwrap();
    let chunk = [b"180000\r\n".as_slice(), &vec![b' '; 0x18_0000], b"\r\n0\r\n\r\n"].concat();
    let head = format!("POST {infer} HTTP/1.1\r\nHost: k\r\nTransfer-Encoding: chunked\r\n\r\n");
    client.send(head.as_bytes()).unwrap();
    // The server may close before all is sent.
    let _ = client.send(&chunk);
    client.answer().unwrap().refused(413, &["1048576 bytes at most"]);
    // A slow sender has the only place for as long as it may take.
    let whole = request("POST", infer, &headers, &body);
    let ask = || served.ask("POST", infer, &headers, &body);
    let (mut slow, busy) = wait_for("a server without a place", || {
        // On a loaded machine the time of the sender before may be over before this one asks.
        (ask().status == 200).then_some(())?;
        let mut slow = served.connect().unwrap();
        slow.send(&whole[..whole.len() - 1]).unwrap();
        thread::sleep(Duration::from_millis(50));
        Some((slow, ask())).filter(|(_, answer)| answer.status != 200)
    });
    busy.refused(429, &["1 requests"]);
    assert_eq!(busy.header("retry-after"), Some("1"));
    served.get("/v2/health/ready").expect(200);
    slow.answer().unwrap().refused(408, &["within 1 s"]);
    assert_eq!(ask().status, 200);
}

#[test]
fn an_answer_that_nobody_reads_keeps_its_place_and_is_cut_at_the_end() {
    let workplace = digits();
    let arguments = ["latest", "--max-concurrency", "1", "--max-rows", "1000000", "--drain", "1"];
    let served = Served::start(&workplace, &arguments);
    // Its answer is longer than what the system takes of one that is not read.
    let (count, levels) = (200_000, pictures(200_000));
    let head = json!({ "inputs": [{ "name": "pixels", "datatype": "UINT8", "shape": [count, 64],
        "parameters": { "binary_data_size": levels.len() } }] });
    let head = head.to_string();
    let length = head.len().to_string();
    let length = [("Inference-Header-Content-Length", &*length)];
    let one = json!({ "inputs": [{ "name": "pixels", "datatype": "UINT8", "shape": [1, 64], "data": pictures(1) }] });
    let infer = "/v2/models/digits/infer";
    let mut reader = served.connect().unwrap();
    let whole = request("POST", infer, &length, &[head.as_bytes(), &levels].concat());
    reader.send(&whole).unwrap();
    wait_for("an answer that is computed", || {
        let page = served.get("/metrics");
        page.text().contains("kiln_requests_total{model=\"digits\",outcome=\"ok\"} 1\n").then_some(())
    });
    served.post(infer, &one).refused(429, &["1 requests"]);
    assert_eq!(reader.answer().unwrap().expect(200)["outputs"][1]["shape"], json!([count]));
    wait_for("the place", || (served.post(infer, &one).status == 200).then_some(()));
    reader.send(&whole).unwrap();
    wait_for("a second answer", || (served.post(infer, &one).status == 429).then_some(()));
    served.process.signal("TERM");
    let Served { process, .. } = served;
    process.wait().expect(1).says(&["1 connections were cut"]);
}

#[test]
fn a_page_of_another_site_asks_in_vain_and_a_run_that_trains_still_is_named() {
    let workplace = digits();
    let run = workplace.only_run();
    let mut status = run.status();
    status["state"] = "interrupted".into();
    fs::write(run.file("status.json"), status.to_string()).unwrap();
    let mut served = Served::start(&workplace, &["latest", "--host", "localhost"]);
    served.process.wait_for_stderr("is not finished: this is its best checkpoint so far");
    let from = |site: &str| served.ask("POST", "/v2/repository/index", &[("Sec-Fetch-Site", site)], b"");
    from("same-origin").expect(200);
    from("cross-site").refused(403, &["another site"]);
}

#[test]
fn a_token_is_asked_for_everywhere_but_for_health() {
    let workplace = digits();
    fs::write(workplace.path().join("token"), "secret\n").unwrap();
    let served = Served::start(&workplace, &["latest", "--token-file", "token"]);
    served.get("/v2/health/ready").expect(200);
    served.get("/v2").refused(401, &["Bearer"]);
    served.get("/metrics").refused(401, &["found none"]);
    let with = |token: &str| served.ask("GET", "/v2", &[("Authorization", token)], b"");
    with("Bearer secret").expect(200);
    with("Bearer secrets").refused(401, &["found another"]);
    with(&format!("Basic {}", STANDARD.encode("anybody:secret"))).expect(200);
    assert_eq!(with("secret").header("www-authenticate"), Some("Bearer, Basic realm=\"kiln\""));
    fs::write(workplace.path().join("empty"), "\n").unwrap();
    workplace.run(&["serve", "latest", "--token-file", "empty"]).expect(2).says(&["the token is empty"]);
    workplace.run(&["serve", "latest", "latest", "--port", "0"]).expect(2).says(&["twice"]);
    workplace.run(&["serve", "none"]).expect(1).says(&["none: "]);
}

#[test]
fn a_reload_loses_no_request_and_mixes_no_answers() {
    let workplace = digits();
    let served = Served::start(&workplace, &["latest", "--allow-reload"]);
    let version = |answer: &Value| answer["model_version"].as_str().unwrap().to_owned();
    let body = json!({ "inputs": [{ "name": "pixels", "datatype": "UINT8", "shape": [1, 64], "data": pictures(1) }],
        "outputs": [{ "name": "probabilities" }] });
    let infer = "/v2/models/digits/infer";
    let before = served.post(infer, &body).expect(200);
    workplace.train(&["seed=7"]);
    let (is_over, new) = (AtomicBool::new(false), AtomicUsize::new(0));
    let after = thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let mut client = served.connect().unwrap();
                let mut others = Vec::new();
                while !is_over.load(Ordering::Relaxed) {
                    let text = body.to_string();
                    let answer = client.ask("POST", infer, &[], text.as_bytes()).unwrap().expect(200);
                    if version(&answer) == version(&before) {
                        assert_eq!(answer, before);
                    } else {
                        new.fetch_add(1, Ordering::Relaxed);
                        others.push(answer);
                    }
                }
                assert!(others.windows(2).all(|pair| pair[0] == pair[1]));
            });
        }
        thread::sleep(Duration::from_millis(50));
        served.process.signal("HUP");
        wait_for("answers of the new run", || (new.load(Ordering::Relaxed) > 100).then_some(()));
        for _ in 0..10 {
            served.post("/v2/repository/models/digits/load", &json!({})).expect(200);
        }
        is_over.store(true, Ordering::Relaxed);
        served.post(infer, &body).expect(200)
    });
    assert_ne!(version(&after), version(&before));
    assert_ne!(after["outputs"], before["outputs"]);
    // A run that cannot be opened changes nothing.
    fs::rename(workplace.artifacts(), workplace.path().join("gone")).unwrap();
    served.post("/v2/repository/models/digits/load", &json!({})).refused(500, &["still served"]);
    assert_eq!(served.post(infer, &body).expect(200), after);
}

#[test]
fn sigterm_loses_no_request_and_answers_none_twice() {
    let workplace = digits();
    let Served { process, .. } = {
        let served = Served::start(&workplace, &["latest"]);
        let answered = AtomicUsize::new(0);
        let (large, length) = binary(&pictures(16_000));
        let mut in_flight = served.connect().unwrap();
        let whole = request(
            "POST",
            "/v2/models/digits/infer",
            &[("Inference-Header-Content-Length", &length)],
            &large,
        );
        // Its body ends only after the signal.
        in_flight.send(&whole[..whole.len() - 10]).unwrap();
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let (body, length) = binary(&pictures(1));
                    let headers = [("Inference-Header-Content-Length", &*length)];
                    // Until the server takes no connection any more.
                    while let Ok(mut client) = served.connect() {
                        loop {
                            let answer = client.ask("POST", "/v2/models/digits/infer", &headers, &body);
                            let answer = answer.expect("a request that was sent is answered");
                            assert_eq!(probabilities(&answer).len(), 40);
                            answered.fetch_add(1, Ordering::Relaxed);
                            if answer.header("connection") == Some("close") {
                                assert!(client.is_closed(), "nothing comes after the last answer");
                                break;
                            }
                        }
                    }
                });
            }
            wait_for("some answers", || (answered.load(Ordering::Relaxed) > 200).then_some(()));
            let idle = served.connect().unwrap();
            served.process.signal("TERM");
            wait_for("a closed door", || served.connect().is_err().then_some(()));
            in_flight.send(&whole[whole.len() - 10..]).unwrap();
            assert_eq!(probabilities(&in_flight.answer().unwrap()).len(), 16_000 * 40);
            drop(idle);
        });
        served
    };
    process.wait().expect(0).says(&["ending: "]);
}

#[test]
fn a_second_signal_and_a_deadline_end_what_does_not_end() {
    let workplace = digits();
    for (arguments, signals, code) in [(&["latest"][..], 2, 130), (&["latest", "--drain", "1"], 1, 1)] {
        let served = Served::start(&workplace, arguments);
        let mut stuck = served.connect().unwrap();
        stuck.send(b"POST /predict HTTP/1.1\r\nHost: k\r\nContent-Length: 100\r\n\r\n{").unwrap();
        wait_for("a request", || served.get("/metrics").text().contains("in_flight 2\n").then_some(()));
        let begun = Instant::now();
        served.process.signal("TERM");
        wait_for("the drain", || served.process.stderr().contains("ending: 1").then_some(()));
        if signals == 2 {
            served.process.signal("INT");
        }
        served.process.wait().expect(code).says(&["1 connections"]);
        assert!(begun.elapsed() < DEADLINE / 6);
    }
}
