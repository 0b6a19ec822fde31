//! A client of `kiln serve` that sees every byte, and the tests of a server under load: limits, reload, shutdown.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use std::{fs, thread};

use serde_json::{Value, json};

use crate::program::{self, DEADLINE, Process, TestFolder, wait_for};

/// A running server. Drop kills it.
pub(crate) struct Served {
    pub(crate) process: Process,
    address: String,
}

/// A connection to a server.
pub(crate) struct Client {
    stream: BufReader<TcpStream>,
}

/// A response.
#[derive(Clone, Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    /// Header names are in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Served {
    /// Starts `kiln serve` on a free port, and waits until it is ready.
    pub(crate) fn start(test_folder: &TestFolder, arguments: &[&str]) -> Self {
        let mut process = test_folder.start(&[&["serve", "--port", "0"], arguments].concat());
        process.wait_for_stderr("ready on http://");
        let address = wait_for("the whole line", || {
            let stderr = process.stderr();
            let (_, rest) = stderr.split_once("ready on http://")?;
            Some(rest.split_once(": ")?.0.to_owned())
        });
        Self { process, address }
    }

    /// Address and port.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    pub(crate) fn connect(&self) -> io::Result<Client> {
        let stream = TcpStream::connect(&self.address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_mins(1)))?;
        Ok(Client { stream: BufReader::new(stream) })
    }

    /// Sends one request on a new connection, and returns the response.
    pub(crate) fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Response {
        self.connect().unwrap().ask(method, path, headers, body).unwrap()
    }

    pub(crate) fn get(&self, path: &str) -> Response {
        self.ask("GET", path, &[], b"")
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Response {
        self.ask("POST", path, &[("Content-Type", "application/json")], body.to_string().as_bytes())
    }
}

impl Client {
    pub(crate) fn ask(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> io::Result<Response> {
        self.send(&request(method, path, headers, body))?;
        self.answer()
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes)
    }

    /// Reads one response.
    pub(crate) fn answer(&mut self) -> io::Result<Response> {
        let mut line = || -> io::Result<String> {
            let mut line = String::new();
            match self.stream.read_line(&mut line)? {
                0 => Err(io::ErrorKind::UnexpectedEof.into()),
                _ => Ok(line.trim_end().to_owned()),
            }
        };
        let status = line()?.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.ok_or(io::ErrorKind::InvalidData)?;
        let mut headers = Vec::new();
        loop {
            let line = line()?;
            let Some((name, value)) = line.split_once(':') else { break };
            headers.push((name.to_lowercase(), value.trim().to_owned()));
        }
        let mut answer = Response { status, headers, body: Vec::new() };
        let length = answer.header("content-length").map_or(0, |length| length.parse().unwrap());
        answer.body = vec![0; length];
        self.stream.read_exact(&mut answer.body)?;
        Ok(answer)
    }

    /// Whether the server has closed the connection without sending more.
    pub(crate) fn is_closed(&mut self) -> bool {
        matches!(self.stream.fill_buf(), Ok([]) | Err(_))
    }
}

impl Response {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| &**value)
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        program::json(self.text())
    }

    /// Checks the status, and returns the JSON.
    #[track_caller]
    pub(crate) fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.body));
        self.json()
    }

    /// Checks that the request was refused with `status`, for a reason that contains each of `texts`.
    #[track_caller]
    pub(crate) fn refused(&self, status: u16, texts: &[&str]) {
        let reason = self.expect(status)["error"].as_str().expect("a reason").to_owned();
        for text in texts {
            assert!(reason.contains(text), "{text:?} is missing in: {reason}");
        }
    }
}

/// The bytes of a request.
pub(crate) fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: kiln\r\nContent-Length: {}\r\n", body.len());
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    [head.as_bytes(), b"\r\n", body].concat()
}

const DIGITS: &str =
    "name = \"digits\"\n[data]\nsource = \"digits\"\n[model]\nhidden = [32]\n[training]\nepochs = 2\n";

pub(crate) fn digits() -> TestFolder {
    let test_folder = TestFolder::new(DIGITS);
    test_folder.train(&[]);
    test_folder
}

/// Different pictures of the size of the digits.
pub(crate) fn pictures(count: usize) -> Vec<u8> {
    (0..count * 64).map(|at| (at / 64 * 31 + at * at * 7 % 1013) as u8 % 17).collect()
}

/// An inference request with binary input and output, and the length of its JSON.
pub(crate) fn binary(pixels: &[u8]) -> (Vec<u8>, String) {
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

/// The bytes of the probabilities in a binary response.
pub(crate) fn probabilities(answer: &Response) -> Vec<u8> {
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    let length: usize = answer.header("inference-header-content-length").unwrap().parse().unwrap();
    answer.body[length..].to_vec()
}

pub(crate) fn ask(served: &Served, pixels: &[u8]) -> Vec<u8> {
    let (body, length) = binary(pixels);
    let headers = [("Inference-Header-Content-Length", &*length)];
    probabilities(&served.ask("POST", "/v2/models/digits/infer", &headers, &body))
}

#[test]
fn an_answer_has_the_same_bits_alone_among_a_thousand_and_under_load() {
    for overrides in [&[][..], &["model.members=3", "evaluation.calibration=\"temperature\""]] {
        let test_folder = TestFolder::new(DIGITS);
        test_folder.train(overrides);
        let served = Served::start(&test_folder, &["latest"]);
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
    let test_folder = digits();
    let arguments = ["latest", "--max-body", "1", "--max-concurrency", "1", "--timeout", "1"];
    let served = Served::start(&test_folder, &arguments);
    let infer = "/v2/models/digits/infer";
    let (body, length) = binary(&pictures(1));
    let headers = [("Inference-Header-Content-Length", &*length)];
    // A body with a length is refused before it is sent; a chunked body, when it becomes too long.
    let mut client = served.connect().unwrap();
    client
        .send(format!("POST {infer} HTTP/1.1\r\nHost: k\r\nContent-Length: 2000000\r\n\r\n").as_bytes())
        .unwrap();
    client.answer().unwrap().refused(413, &["1048576 bytes at most", "2000000"]);
    let mut client = served.connect().unwrap();
    let chunk = [b"180000\r\n".as_slice(), &vec![b' '; 0x18_0000], b"\r\n0\r\n\r\n"].concat();
    let head = format!("POST {infer} HTTP/1.1\r\nHost: k\r\nTransfer-Encoding: chunked\r\n\r\n");
    client.send(head.as_bytes()).unwrap();
    // The server may close the connection first.
    let _ = client.send(&chunk);
    client.answer().unwrap().refused(413, &["1048576 bytes at most"]);
    // A slow client occupies the only place until its time limit.
    let whole = request("POST", infer, &headers, &body);
    let ask = || served.ask("POST", infer, &headers, &body);
    let (mut slow, busy) = wait_for("a server without a place", || {
        // On a loaded machine, the time limit of an earlier slow client may pass before this request.
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
    let test_folder = digits();
    let arguments = ["latest", "--max-concurrency", "1", "--max-rows", "1000000", "--drain", "1"];
    let served = Served::start(&test_folder, &arguments);
    // The response is longer than the system buffers for a client that does not read.
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
fn a_reload_loses_no_request_and_mixes_no_answers() {
    let test_folder = digits();
    let served = Served::start(&test_folder, &["latest", "--allow-reload"]);
    let version = |answer: &Value| answer["model_version"].as_str().unwrap().to_owned();
    let body = json!({ "inputs": [{ "name": "pixels", "datatype": "UINT8", "shape": [1, 64], "data": pictures(1) }],
        "outputs": [{ "name": "probabilities" }] });
    let infer = "/v2/models/digits/infer";
    let before = served.post(infer, &body).expect(200);
    test_folder.train(&["seed=7"]);
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
    // A failed reload changes nothing.
    fs::rename(test_folder.artifacts(), test_folder.path().join("gone")).unwrap();
    served.post("/v2/repository/models/digits/load", &json!({})).refused(500, &["still served"]);
    assert_eq!(served.post(infer, &body).expect(200), after);
}

#[test]
fn sigterm_loses_no_request_and_answers_none_twice() {
    let test_folder = digits();
    let Served { process, .. } = {
        let served = Served::start(&test_folder, &["latest"]);
        let answered = AtomicUsize::new(0);
        let (large, length) = binary(&pictures(16_000));
        let mut in_flight = served.connect().unwrap();
        let whole = request(
            "POST",
            "/v2/models/digits/infer",
            &[("Inference-Header-Content-Length", &length)],
            &large,
        );
        // The end of its body comes after the signal.
        in_flight.send(&whole[..whole.len() - 10]).unwrap();
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let (body, length) = binary(&pictures(1));
                    let headers = [("Inference-Header-Content-Length", &*length)];
                    // Until the server accepts no more connections.
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
    let test_folder = digits();
    for (arguments, signals, code) in [(&["latest"][..], 2, 130), (&["latest", "--drain", "1"], 1, 1)] {
        let served = Served::start(&test_folder, arguments);
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
        assert!(begun.elapsed() < DEADLINE / 20);
    }
}
