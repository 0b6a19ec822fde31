//! Downloads from mirrors that stall, break off, send wrong bytes or do not exist. The mirrors are local web servers that
//! misbehave on purpose.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use kiln_config::{Data, DataSource};
use kiln_data::{
    DataError, DataFolders, Downloads, Framing, NoProgress, Progress, PublishedFile, PublishedSet, Timeouts,
    load_with,
};

use crate::{FILE_NAMES, gzip, names};

/// A data set of four files of noise, up to 300 kB, which does not compress.
struct Fixture {
    set: PublishedSet,
    files: Vec<(String, Vec<u8>)>,
    plain: Vec<Vec<u8>>,
    folder: tempfile::TempDir,
}

fn hash(bytes: &[u8]) -> &'static str {
    kiln_files::sha256_hex(bytes).leak()
}

fn noise(seed: u64, bytes: usize) -> Vec<u8> {
    let mut stream = kiln_config::random::Stream::new(seed, kiln_config::random::Purpose::Sampling, &[]);
    (0..bytes).map(|_| stream.next_u64() as u8).collect()
}

fn fixture() -> Fixture {
    let plain: Vec<Vec<u8>> =
        [300_000, 1_000, 200_000, 500].iter().map(|&bytes| noise(bytes, bytes as usize)).collect();
    let compressed: Vec<Vec<u8>> = plain.iter().map(|bytes| gzip(bytes)).collect();
    let files = std::array::from_fn(|index| PublishedFile {
        name: FILE_NAMES[index],
        gzip_bytes: compressed[index].len() as u64,
        gzip_sha256: hash(&compressed[index]),
        bytes: plain[index].len() as u64,
        sha256: Some(hash(&plain[index])),
    });
    let set = PublishedSet {
        name: "made-up",
        torchvision_name: "MadeUp",
        origin: "",
        classes: ["x"; 10],
        framing: Framing::Resize,
        mirrors: &[],
        files,
    };
    let files = FILE_NAMES.iter().map(|name| format!("{name}.gz")).zip(compressed).collect();
    Fixture { set, files, plain, folder: tempfile::tempdir().unwrap() }
}

impl Fixture {
    fn mirror(&self, behaviour: Behaviour) -> Mirror {
        Mirror::start(behaviour, self.files.clone())
    }

    fn fetch(&self, mirrors: &[&Mirror]) -> Result<(), DataError> {
        self.fetch_with(mirrors, &NoProgress)
    }

    fn fetch_with(&self, mirrors: &[&Mirror], progress: &dyn Progress) -> Result<(), DataError> {
        downloads(mirrors).fetch(&self.set, self.folder.path(), progress)
    }

    fn assert_complete(&self) {
        let mut expected = FILE_NAMES.map(String::from).to_vec();
        expected.push(".lock".to_owned());
        expected.sort();
        assert_eq!(names(self.folder.path()), expected, "the four files, and nothing unfinished");
        for (name, plain) in FILE_NAMES.iter().zip(&self.plain) {
            assert!(fs::read(self.folder.path().join(name)).unwrap() == *plain, "{name} has the right bytes");
        }
    }

    /// Only parts and the lock: no file has its final name.
    fn assert_nothing_final(&self) {
        for name in names(self.folder.path()) {
            let unfinished = Path::new(&name).extension().is_some_and(|extension| extension == "part");
            assert!(name == ".lock" || unfinished, "{name} is there");
        }
    }
}

fn downloads(mirrors: &[&Mirror]) -> Downloads {
    Downloads {
        mirrors: Some(mirrors.iter().map(|mirror| mirror.address.clone()).collect()),
        timeouts: Timeouts { connect: Duration::from_secs(2), stall: Duration::from_millis(300) },
    }
}

fn reasons(error: DataError) -> Vec<String> {
    match error {
        DataError::Unavailable(unavailable) => {
            unavailable.attempts.into_iter().map(|attempt| attempt.reason).collect()
        }
        other => panic!("{other}"),
    }
}

/// Fetches from a mirror with this behaviour and a good second one; returns the requests to each.
fn second_mirror_helps(behaviour: Behaviour) -> (Vec<String>, Vec<String>) {
    let fixture = fixture();
    let (first, second) = (fixture.mirror(behaviour), fixture.mirror(Behaviour::Good));
    fixture.fetch(&[&first, &second]).unwrap();
    fixture.assert_complete();
    (first.requests(), second.requests())
}

/// Fetches from a single mirror with this behaviour; returns the reason in the error.
fn alone(behaviour: Behaviour) -> String {
    let fixture = fixture();
    let mirror = fixture.mirror(behaviour);
    let error = fixture.fetch(&[&mirror]).unwrap_err();
    fixture.assert_nothing_final();
    reasons(error).concat()
}

#[derive(Default)]
struct Counter {
    open: AtomicI64,
    bytes: AtomicU64,
    total: AtomicU64,
}

impl Progress for Counter {
    fn begin(&self, what: &str, total_bytes: Option<u64>) {
        assert!(what.contains("ubyte.gz"), "{what}");
        assert_eq!(self.open.fetch_add(1, Ordering::Relaxed), 0);
        self.total.fetch_add(total_bytes.unwrap(), Ordering::Relaxed);
    }

    fn advance(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    fn end(&self) {
        assert_eq!(self.open.fetch_sub(1, Ordering::Relaxed), 1);
    }
}

#[test]
fn a_good_mirror_gives_all_files_and_the_progress_counts_their_bytes() {
    let fixture = fixture();
    let mirror = fixture.mirror(Behaviour::Good);
    let counter = Counter::default();
    fixture.fetch_with(&[&mirror], &counter).unwrap();
    fixture.assert_complete();
    assert_eq!(mirror.requests(), FILE_NAMES.map(|name| format!("{name}.gz")));
    assert_eq!(counter.open.load(Ordering::Relaxed), 0);
    assert_eq!(counter.bytes.load(Ordering::Relaxed), counter.total.load(Ordering::Relaxed));
}

#[test]
fn existing_files_are_not_downloaded_again() {
    let fixture = fixture();
    let mirror = fixture.mirror(Behaviour::Good);
    fs::write(fixture.folder.path().join(FILE_NAMES[0]), "the user's own").unwrap();
    fs::write(fixture.folder.path().join(format!("{}.gz", FILE_NAMES[2])), "also good").unwrap();
    fixture.fetch(&[&mirror]).unwrap();
    assert_eq!(mirror.requests(), [format!("{}.gz", FILE_NAMES[1]), format!("{}.gz", FILE_NAMES[3])]);
    assert_eq!(fs::read(fixture.folder.path().join(FILE_NAMES[0])).unwrap(), b"the user's own");
}

#[test]
fn a_transfer_that_breaks_off_resumes_where_it_stopped() {
    let fixture = fixture();
    let mirror = fixture.mirror(Behaviour::CutsOff(400));
    fixture.fetch(&[&mirror]).unwrap();
    fixture.assert_complete();
    assert_eq!(
        mirror.requests()[..2],
        [format!("{}.gz", FILE_NAMES[0]), format!("{}.gz[400-]", FILE_NAMES[0])]
    );
}

#[test]
fn the_next_run_resumes_a_transfer_that_was_killed() {
    let fixture = fixture();
    let mirror = fixture.mirror(Behaviour::Good);
    let part = fixture.folder.path().join(format!("{}.gz.part", FILE_NAMES[0]));
    fs::write(&part, &fixture.files[0].1[..1234]).unwrap();
    fixture.fetch(&[&mirror]).unwrap();
    fixture.assert_complete();
    assert_eq!(mirror.requests()[0], format!("{}.gz[1234-]", FILE_NAMES[0]));
}

#[test]
fn a_complete_part_is_verified_without_a_request() {
    let fixture = fixture();
    let mirror = fixture.mirror(Behaviour::Good);
    fs::write(fixture.folder.path().join(format!("{}.gz.part", FILE_NAMES[0])), &fixture.files[0].1).unwrap();
    fixture.fetch(&[&mirror]).unwrap();
    fixture.assert_complete();
    assert_eq!(mirror.requests().len(), 3);
}

#[test]
fn a_part_with_wrong_bytes_is_discarded_and_the_file_downloaded_again() {
    for stale in [vec![7; 1234], vec![7; 10_000_000]] {
        let fixture = fixture();
        let mirror = fixture.mirror(Behaviour::Good);
        fs::write(fixture.folder.path().join(format!("{}.gz.part", FILE_NAMES[0])), stale).unwrap();
        fixture.fetch(&[&mirror]).unwrap();
        fixture.assert_complete();
    }
}

#[test]
fn the_next_mirror_resumes_where_a_mirror_stalled() {
    let start = Instant::now();
    let (first, second) = second_mirror_helps(Behaviour::Stalls(450));
    assert_eq!(first.len(), 4);
    assert_eq!(second[0], format!("{}.gz[450-]", FILE_NAMES[0]));
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    let reason = alone(Behaviour::Stalls(450));
    assert!(reason.contains("no data for 300ms after 450 of"), "{reason}");
}

#[test]
fn a_mirror_that_never_answers_is_left_for_the_next() {
    second_mirror_helps(Behaviour::NeverAnswers);
    assert_eq!(alone(Behaviour::NeverAnswers), "no data for 300ms");
}

#[test]
fn a_mirror_that_always_breaks_off_is_left_after_a_few_attempts() {
    let (first, second) = second_mirror_helps(Behaviour::AlwaysCutsOff(50));
    assert_eq!(first.iter().filter(|request| request.starts_with(FILE_NAMES[0])).count(), 4);
    assert_eq!(second[0], format!("{}.gz[200-]", FILE_NAMES[0]));
    let reason = alone(Behaviour::AlwaysCutsOff(50));
    assert!(reason.contains("broke off after 200 of"), "{reason}");
}

#[test]
fn a_mirror_that_ignores_ranges_is_read_from_the_start() {
    let fixture = fixture();
    let mirror = fixture.mirror(Behaviour::IgnoresRange);
    fixture.fetch(&[&mirror]).unwrap();
    fixture.assert_complete();
}

#[test]
fn a_mirror_that_answers_with_another_range_is_left_for_the_next() {
    second_mirror_helps(Behaviour::WrongRange);
    let reason = alone(Behaviour::WrongRange);
    assert!(reason.contains("sent another range: \"bytes 0-"), "{reason}");
}

#[test]
fn a_mirror_with_wrong_bytes_is_left_for_the_next() {
    let (first, second) = second_mirror_helps(Behaviour::WrongBytes);
    assert_eq!((first.len(), second.len()), (4, 4));
    assert_eq!(second[0], format!("{}.gz", FILE_NAMES[0]), "nothing of the wrong bytes is kept");
    let reason = alone(Behaviour::WrongBytes);
    assert!(reason.contains("wrong bytes: expected SHA-256"), "{reason}");
}

#[test]
fn a_mirror_with_too_many_bytes_is_left_for_the_next() {
    for (behaviour, expected) in
        [(Behaviour::TooLong, "offers"), (Behaviour::EndlessWithoutLength, "sent more than the")]
    {
        second_mirror_helps(behaviour);
        let reason = alone(behaviour);
        assert!(reason.contains(expected), "{reason}");
    }
}

#[test]
fn a_mirror_without_the_file_is_left_for_the_next() {
    for status in [403, 404, 500, 503] {
        second_mirror_helps(Behaviour::Status(status));
        let reason = alone(Behaviour::Status(status));
        assert!(reason.contains(&format!("HTTP status {status}")), "{reason}");
    }
}

#[test]
fn a_good_file_survives_the_failure_of_another() {
    let fixture = fixture();
    let good = Mirror::start(Behaviour::Good, fixture.files[..1].to_vec());
    fixture.fetch(&[&good]).unwrap_err();
    let path = fixture.folder.path().join(FILE_NAMES[0]);
    assert!(fs::read(&path).unwrap() == fixture.plain[0]);
    let bad = fixture.mirror(Behaviour::WrongBytes);
    fixture.fetch(&[&bad]).unwrap_err();
    assert!(fs::read(&path).unwrap() == fixture.plain[0]);
    assert_eq!(names(fixture.folder.path()), [".lock", FILE_NAMES[0]]);
}

#[test]
fn bytes_that_decompress_to_something_else_get_no_final_name() {
    let mut fixture = fixture();
    fixture.set.files[0].sha256 = Some(hash(b"something else"));
    let mirror = fixture.mirror(Behaviour::Good);
    let error = fixture.fetch(&[&mirror]).unwrap_err();
    assert!(error.to_string().starts_with("wrong checksum"), "{error}");
    assert_eq!(names(fixture.folder.path()), [".lock"]);
}

#[test]
fn the_hash_of_a_file_without_a_published_one_is_kept() {
    let mut fixture = fixture();
    let expected = fixture.set.files[0].sha256.take().unwrap();
    let mirror = fixture.mirror(Behaviour::Good);
    fixture.fetch(&[&mirror]).unwrap();
    let note = fixture.folder.path().join(format!("{}.sha256", FILE_NAMES[0]));
    assert_eq!(fs::read_to_string(note).unwrap(), expected);
}

#[test]
fn processes_that_share_a_folder_download_once() {
    let fixture = fixture();
    let mirror = fixture.mirror(Behaviour::Good);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| fixture.fetch(&[&mirror]).unwrap());
        }
    });
    fixture.assert_complete();
    assert_eq!(mirror.requests().len(), 4);
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let fixture = fixture();
    let mirror = fixture.mirror(Behaviour::Good);
    let file = fixture.folder.path().join("file");
    fs::write(&file, "x").unwrap();
    let error = downloads(&[&mirror]).fetch(&fixture.set, &file.join("made-up"), &NoProgress).unwrap_err();
    assert!(matches!(error, DataError::Write { .. }), "{error}");
    assert!(mirror.requests().is_empty());
}

#[test]
fn without_a_network_the_message_lists_the_attempts_and_the_remedies() {
    let root = tempfile::tempdir().unwrap();
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let downloads = Downloads {
        mirrors: Some(vec![format!("http://{nobody}/one/"), "http://mirror.invalid/two/".to_owned()]),
        ..downloads(&[])
    };
    let data = Data { source: DataSource::Mnist, ..Data::default() };
    for data_dir in [None, Some(root.path().join("data"))] {
        let folder = data_dir.clone().unwrap_or_else(|| root.path().join("cache")).join("mnist");
        let folders = DataFolders { data_dir, cache: root.path().join("cache") };
        let message = load_with(&data, 42, &folders, &downloads, &NoProgress).unwrap_err().to_string();
        for fragment in [
            "mnist is not on this machine",
            &format!("http://{nobody}/one/train-images-idx3-ubyte.gz: "),
            "http://mirror.invalid/two/train-images-idx3-ubyte.gz: ",
            "place train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte",
            &format!("(plain or .gz) in {}", folder.display()),
            "configs/digits.toml or data.source=digits",
        ] {
            assert!(message.contains(fragment), "\"{fragment}\" is not in: {message}");
        }
    }
}

/// The response of a mirror to a request.
#[derive(Clone, Copy, Debug)]
enum Behaviour {
    /// Serves the file, or the requested part.
    Good,
    /// Serves the whole file, even if only a part is requested.
    IgnoresRange,
    /// Closes the connection after this many bytes of the first response; serves a request for the rest.
    CutsOff(usize),
    /// Closes the connection after this many bytes of every response.
    AlwaysCutsOff(usize),
    /// Sends this many bytes and then nothing, without closing the connection.
    Stalls(usize),
    /// Accepts the request and never responds.
    NeverAnswers,
    /// Serves other bytes of the right length.
    WrongBytes,
    /// Announces the right length and serves a file that is too long.
    TooLong,
    /// Serves a file that is too long, without announcing a length.
    EndlessWithoutLength,
    /// Responds with this status.
    Status(u16),
    /// Serves another part than requested.
    WrongRange,
}

/// A server that runs until the test ends.
struct Mirror {
    address: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Mirror {
    /// Starts a server of `files` (name and content).
    fn start(behaviour: Behaviour, files: Vec<(String, Vec<u8>)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}/", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&requests);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (files, log) = (files.clone(), Arc::clone(&log));
                // Writing fails after the client hangs up.
                thread::spawn(move || answer(stream.unwrap(), behaviour, &files, &log));
            }
        });
        Self { address, requests }
    }

    /// The requests so far: the name of the file, and the range in brackets if a part was requested.
    fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

/// The requested name and first byte.
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
