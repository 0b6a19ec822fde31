//! `kiln serve`: the answers, and the reasons for refusals. Load, reload and shutdown are tested in `web.rs`.

use std::fs;
use std::io::Write as _;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::program::TestFolder;
use crate::web::{Served, ask, digits, pictures, request};

const TABLE: &str = "name = \"fruit\"\n[data]\nsource = \"csv\"\npath = \"fruit.csv\"\nlabel_column = \"kind\"\n\
                     [model]\nhidden = [16]\n[training]\nepochs = 3\n[evaluation]\nbaselines = false\n";

/// Learnable rows: numbers with missing values, and names.
fn fruit() -> TestFolder {
    let test_folder = TestFolder::new(TABLE);
    let mut file = fs::File::create(test_folder.path().join("fruit.csv")).unwrap();
    writeln!(file, "weight,colour,ripe,kind").unwrap();
    for row in 0..300 {
        let weight = if row % 17 == 0 { String::new() } else { format!("{}.5", 50 + row * 7 % 200) };
        let colour = ["red", "green", "yellow"][row % 3];
        let kind = if row * 7 % 200 > 90 { "apple" } else { "plum" };
        writeln!(file, "{weight},{colour},{},{kind}", if row % 2 == 0 { "yes" } else { "no" }).unwrap();
    }
    test_folder.train(&[]);
    test_folder
}

#[test]
fn a_server_speaks_the_open_inference_protocol() {
    let test_folder = digits();
    let served = Served::start(&test_folder, &["latest", "second=latest"]);
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
fn wrong_requests_are_refused_with_a_reason_and_the_server_keeps_working() {
    let test_folder = digits();
    let served = Served::start(&test_folder, &["latest", "--max-rows", "100"]);
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
    // A truncated body: the client disconnects.
    let mut client = served.connect().unwrap();
    client.send(&request("POST", infer, &[], text.as_bytes())[..200]).unwrap();
    drop(client);
    served.post(infer, &good).expect(200);
    assert!(!served.process.stderr().contains("panicked"), "{}", served.process.stderr());
}

#[test]
fn pictures_and_rows_come_as_plain_json_beside_bad_ones() {
    let test_folder = digits();
    let served = Served::start(&test_folder, &["latest"]);
    let mut png = std::io::Cursor::new(Vec::new());
    let picture =
        image::GrayImage::from_fn(20, 20, |x, y| image::Luma([if x / 4 == 2 && y > 2 { 250 } else { 5 }]));
    picture.write_to(&mut png, image::ImageFormat::Png).unwrap();
    fs::write(test_folder.path().join("one.png"), png.get_ref()).unwrap();
    let expected = test_folder.run(&["predict", "latest", "one.png", "--output", "-"]).expect(0).stdout;
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
    // Larger than the default limit of the form parser.
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
    let test_folder = fruit();
    let rows = "weight,colour,ripe\n120.5,red,yes\n,green,no\n900,blue,no\nheavy,red,yes\n";
    fs::write(test_folder.path().join("rows.csv"), rows).unwrap();
    let expected = test_folder.run(&["predict", "latest", "rows.csv", "--output", "-"]).expect(0).stdout;
    let expected: Vec<Vec<&str>> = expected.lines().skip(1).map(|line| line.split(',').collect()).collect();
    let served = Served::start(&test_folder, &["latest"]);
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
    assert_eq!(yes["predictions"][0], found["predictions"][0], "true equals the word of the column");
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
fn requests_from_other_sites_are_refused_and_serving_an_unfinished_run_causes_a_warning() {
    let test_folder = digits();
    let run = test_folder.only_run();
    let mut status = run.status();
    status["state"] = "interrupted".into();
    fs::write(run.file("status.json"), status.to_string()).unwrap();
    let mut served = Served::start(&test_folder, &["latest", "--host", "localhost"]);
    served.process.wait_for_stderr("is not finished; serving its best checkpoint so far");
    let from = |site: &str| served.ask("POST", "/v2/repository/index", &[("Sec-Fetch-Site", site)], b"");
    from("same-origin").expect(200);
    from("cross-site").refused(403, &["another site"]);
}

#[test]
fn a_token_is_asked_for_everywhere_but_for_health() {
    let test_folder = digits();
    fs::write(test_folder.path().join("token"), "secret\n").unwrap();
    let served = Served::start(&test_folder, &["latest", "--token-file", "token"]);
    served.get("/v2/health/ready").expect(200);
    served.get("/v2").refused(401, &["Bearer"]);
    served.get("/metrics").refused(401, &["found none"]);
    let with = |token: &str| served.ask("GET", "/v2", &[("Authorization", token)], b"");
    with("Bearer secret").expect(200);
    with("Bearer secrets").refused(401, &["found another"]);
    with(&format!("Basic {}", STANDARD.encode("anybody:secret"))).expect(200);
    assert_eq!(with("secret").header("www-authenticate"), Some("Bearer, Basic realm=\"kiln\""));
    fs::write(test_folder.path().join("empty"), "\n").unwrap();
    test_folder.run(&["serve", "latest", "--token-file", "empty"]).expect(2).says(&["the token is empty"]);
    test_folder.run(&["serve", "latest", "latest", "--port", "0"]).expect(2).says(&["twice"]);
    test_folder.run(&["serve", "none"]).expect(1).says(&["none: "]);
}

#[cfg(feature = "grpc")]
#[test]
fn grpc_answers_as_http_does() {
    let Some(python) = crate::program::python_with("tritonclient.grpc, tritonclient.http") else { return };
    let test_folder = TestFolder::new("name = \"digits\"\n[model]\nhidden = [32]\n[training]\nepochs = 2\n");
    test_folder.train(&[]);
    let served = Served::start(&test_folder, &["latest"]);
    let script = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/grpc_peer.py");
    let output = std::process::Command::new(python).arg(script).arg(served.address()).output().unwrap();
    let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.trim() == "the same", "{errors}");
    let counted = served.get("/metrics").text().contains("outcome=\"rejected\"} 3\n");
    assert!(counted, "{}", served.get("/metrics").text());
    let Served { process, .. } = served;
    process.signal("TERM");
    process.wait().expect(0);
}
