//! A web server on this machine that can misbehave.

use std::{
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

/// What a mirror does with a request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Behaviour {
    /// Serves the file, or the part that is asked for.
    Good,
    /// Serves the whole file, whatever part is asked for.
    IgnoresRange,
    /// Closes the connection after this many bytes of a first answer; a request for the rest is served.
    CutsOff(usize),
    /// Closes the connection after this many bytes of every answer.
    AlwaysCutsOff(usize),
    /// Sends this many bytes and then nothing, without closing the connection.
    Stalls(usize),
    /// Takes the request and never answers.
    NeverAnswers,
    /// Serves other bytes of the right length.
    WrongBytes,
    /// Announces the right length and serves a file that is too long.
    TooLong,
    /// Serves a file that is too long, without announcing a length.
    EndlessWithoutLength,
    /// Answers with this status.
    Status(u16),
    /// Answers a request for a part with another part.
    WrongRange,
}

/// A server that runs until the test ends.
pub(crate) struct Mirror {
    pub(crate) address: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Mirror {
    /// Starts a server of `files` (name and content).
    pub(crate) fn start(behaviour: Behaviour, files: Vec<(String, Vec<u8>)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}/", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&requests);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (files, log) = (files.clone(), Arc::clone(&log));
                // A client that has seen enough hangs up, and writing to it fails.
                thread::spawn(move || answer(stream.unwrap(), behaviour, &files, &log));
            }
        });
        Self { address, requests }
    }

    /// The requests so far: the name of the file, and the range in brackets if a part was asked for.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

/// The name and the first byte that are asked for.
fn read_request(stream: &TcpStream) -> Option<(String, Option<usize>)> {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let name = lines.next()?.split(' ').nth(1)?.trim_start_matches('/').to_owned();
    let mut start = None;
    for line in lines.take_while(|line| !line.is_empty()) {
        if let Some(range) = line.to_lowercase().strip_prefix("range: bytes=") {
            start = range.trim_end_matches('-').parse().ok();
        }
    }
    Some((name, start))
}

fn answer(
    stream: TcpStream,
    behaviour: Behaviour,
    files: &[(String, Vec<u8>)],
    log: &Mutex<Vec<String>>,
) -> Option<()> {
    let (name, start) = read_request(&stream)?;
    let range = start.map_or(String::new(), |start| format!("[{start}-]"));
    log.lock().unwrap().push(format!("{name}{range}"));
    let whole = &files.iter().find(|(file, _)| *file == name)?.1;
    let mut stream = stream;
    let from = start.unwrap_or(0);
    let total = whole.len();
    let part = format!("206 Partial Content\r\nContent-Range: bytes {from}-{}/{total}", total - 1);
    let head = if start.is_some() { part.as_str() } else { "200 OK" };
    match behaviour {
        Behaviour::Good => send(&mut stream, head, total - from, &whole[from..]),
        Behaviour::IgnoresRange if start.is_some() => send(&mut stream, "200 OK", total, whole),
        Behaviour::CutsOff(_) if start.is_some() => send(&mut stream, head, total - from, &whole[from..]),
        Behaviour::CutsOff(bytes) => send(&mut stream, head, total, &whole[..bytes]),
        Behaviour::AlwaysCutsOff(bytes) => send(&mut stream, head, total - from, &whole[from..from + bytes]),
        Behaviour::Stalls(bytes) => {
            send(&mut stream, head, total - from, &whole[from..from + bytes])?;
            thread::sleep(Duration::from_secs(30));
            None
        }
        Behaviour::NeverAnswers => {
            thread::sleep(Duration::from_secs(30));
            None
        }
        Behaviour::WrongBytes => {
            let wrong: Vec<u8> = whole.iter().map(|byte| byte ^ 1).collect();
            send(&mut stream, head, total - from, &wrong[from..])
        }
        Behaviour::TooLong => send(&mut stream, "200 OK", total + 10, &[whole, &[0; 10][..]].concat()),
        Behaviour::EndlessWithoutLength => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n").ok()?;
            loop {
                stream.write_all(whole).ok()?;
            }
        }
        Behaviour::Status(status) => send(&mut stream, &format!("{status} No"), 2, b"no"),
        Behaviour::WrongRange if start.is_some() => {
            let length = total - from;
            let head = format!("206 Partial Content\r\nContent-Range: bytes 0-{}/{total}", length - 1);
            send(&mut stream, &head, length, &whole[..length])
        }
        Behaviour::IgnoresRange | Behaviour::WrongRange => {
            send(&mut stream, "200 OK", total, &whole[..total / 2])
        }
    }
}

fn send(stream: &mut TcpStream, head: &str, length: usize, body: &[u8]) -> Option<()> {
    let head = format!("HTTP/1.1 {head}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).ok()?;
    stream.write_all(body).ok()?;
    stream.flush().ok()
}
