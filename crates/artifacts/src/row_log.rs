//! Append-only logs with one JSON object per line: the writer, and a reader that follows it.

use std::{
    fs::{self, File},
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    marker::PhantomData,
    path::{Path, PathBuf},
};

use serde::{Serialize, de::DeserializeOwned};

use crate::error::open_or_create;
use crate::{ArtifactError, MetricRow, TimingRow};

/// `metrics.jsonl`: the source of all figures of a run. It has no times, so that two runs can be compared byte for
/// byte.
pub type MetricLog = RowLog<MetricRow>;

/// `timings.jsonl`: the times.
pub type TimingLog = RowLog<TimingRow>;

/// Follows `metrics.jsonl`.
pub type MetricTail = RowTail<MetricRow>;

/// A type whose values can be lines of a log.
pub trait Row: Serialize + DeserializeOwned {}

impl Row for MetricRow {}

impl Row for TimingRow {}

/// The writer of a log. There is one writer, which adds rows at the end.
///
/// Each row is written with one system call. A reader sees it at once, and it survives a crash of the process; it
/// survives a power cut after [`RowLog::sync`].
#[derive(Debug)]
pub struct RowLog<R> {
    path: PathBuf,
    file: File,
    position: u64,
    row: PhantomData<fn(&R)>,
}

/// Follows a log that another process writes, from its beginning.
#[derive(Debug)]
pub struct RowTail<R> {
    path: PathBuf,
    /// Bytes that were returned as rows.
    offset: u64,
    /// Lines that were returned as rows.
    lines: usize,
    /// The last line that was returned. If the log was truncated and has grown again, another line is at this place.
    /// If the line is the same, the log is the same, because each row has its step.
    last_line: Vec<u8>,
    row: PhantomData<fn() -> R>,
}

/// Result of [`RowTail::poll`].
#[derive(Clone, Debug, PartialEq)]
pub struct TailPoll<R> {
    /// True if the log was truncated since the last poll, as in a resume. Then `rows` has the log from its beginning,
    /// and earlier rows are obsolete.
    pub restarted: bool,
    /// The new rows.
    pub rows: Vec<R>,
}

impl<R: Row> RowLog<R> {
    /// Opens a log to add rows, and makes it if it does not exist. A last line without a newline, which a crash
    /// leaves, is cut off.
    pub fn open_append(path: impl Into<PathBuf>) -> Result<Self, ArtifactError> {
        let path = path.into();
        let mut file = open_or_create(&path)?;
        let position = complete_length(&mut file).map_err(|cause| ArtifactError::io("read", &path, cause))?;
        let mut log = Self { path, file, position, row: PhantomData };
        log.cut().map_err(|cause| ArtifactError::io("cut", &log.path, cause))?;
        Ok(log)
    }

    /// Adds a row. After an error, the log ends as before.
    ///
    /// # Errors
    ///
    /// If a figure has a reserved name, or the disk is full.
    pub fn append(&mut self, row: &R) -> Result<(), ArtifactError> {
        let mut line =
            serde_json::to_vec(row).map_err(|problem| ArtifactError::malformed(&self.path, None, problem))?;
        line.push(b'\n');
        if let Err(cause) = self.file.write_all(&line) {
            // A part of the line may have been written.
            let _ = self.cut();
            return Err(ArtifactError::io("append to", &self.path, cause));
        }
        self.position += line.len() as u64;
        Ok(())
    }

    /// Length of the log in bytes. A checkpoint stores it for [`RowLog::truncate_to`].
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Returns when every row is on the disk. Call it before saving a checkpoint with the position.
    pub fn sync(&mut self) -> Result<(), ArtifactError> {
        self.file.sync_all().map_err(|cause| ArtifactError::io("sync", &self.path, cause))
    }

    /// Truncates the log to its length at a checkpoint.
    ///
    /// # Errors
    ///
    /// [`ArtifactError::LogTooShort`] if the log is shorter, [`ArtifactError::Malformed`] if no row ends there. The
    /// log is then unchanged.
    pub fn truncate_to(&mut self, bytes: u64) -> Result<(), ArtifactError> {
        if bytes > self.position {
            let (path, found) = (self.path.clone(), self.position);
            return Err(ArtifactError::LogTooShort { path, expected: bytes, found });
        }
        let at_row_end =
            ends_row(&mut self.file, bytes).map_err(|cause| ArtifactError::io("read", &self.path, cause))?;
        if !at_row_end {
            let problem = format!("no row ends at byte {bytes}, where the checkpoint says one does");
            return Err(ArtifactError::malformed(&self.path, None, problem));
        }
        self.position = bytes;
        self.cut().map_err(|cause| ArtifactError::io("cut", &self.path, cause))?;
        self.sync()
    }

    /// Every complete row of a log, in order; empty if there is no such file. A last line without a newline is skipped.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, or a complete line is not a row (with its number).
    pub fn read(path: &Path) -> Result<Vec<R>, ArtifactError> {
        match fs::read(path) {
            Ok(bytes) => parse_rows(path, &bytes[..complete_bytes(&bytes)], 1),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(cause) => Err(ArtifactError::io("read", path, cause)),
        }
    }

    /// Truncates the file to `position`, where the next row begins.
    fn cut(&mut self) -> io::Result<()> {
        self.file.set_len(self.position)?;
        self.file.seek(SeekFrom::Start(self.position)).map(|_| ())
    }
}

impl<R: Row> RowTail<R> {
    /// A reader at the beginning of the log, which may not exist yet.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), offset: 0, lines: 0, last_line: Vec::new(), row: PhantomData }
    }

    /// The rows that were completed since the last poll.
    pub fn poll(&mut self) -> Result<TailPoll<R>, ArtifactError> {
        let (restarted, bytes) =
            self.new_bytes().map_err(|cause| ArtifactError::io("read", &self.path, cause))?;
        let complete = &bytes[..complete_bytes(&bytes)];
        let rows: Vec<R> = parse_rows(&self.path, complete, self.lines + 1)?;
        self.offset += complete.len() as u64;
        self.lines += rows.len();
        if let Some(line) = complete.split_inclusive(|byte| *byte == b'\n').next_back() {
            self.last_line = line.to_vec();
        }
        Ok(TailPoll { restarted, rows })
    }

    fn new_bytes(&mut self) -> io::Result<(bool, Vec<u8>)> {
        let mut file = match File::open(&self.path) {
            Ok(file) => file,
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok((self.rewind(), Vec::new())),
            Err(cause) => return Err(cause),
        };
        let restarted = !self.is_same_log(&mut file)? && self.rewind();
        file.seek(SeekFrom::Start(self.offset))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok((restarted, bytes))
    }

    /// Goes back to the beginning; true if rows were returned before.
    fn rewind(&mut self) -> bool {
        let restarted = self.offset > 0;
        *self = Self::new(std::mem::take(&mut self.path));
        restarted
    }

    fn is_same_log(&self, file: &mut File) -> io::Result<bool> {
        file.seek(SeekFrom::Start(self.offset - self.last_line.len() as u64))?;
        let mut line = Vec::with_capacity(self.last_line.len());
        file.take(self.last_line.len() as u64).read_to_end(&mut line)?;
        Ok(line == self.last_line)
    }
}

/// The rows in `bytes`, which end with a newline or are empty.
fn parse_rows<R: Row>(path: &Path, bytes: &[u8], first_line: usize) -> Result<Vec<R>, ArtifactError> {
    let lines = bytes.split_inclusive(|byte| *byte == b'\n').enumerate();
    lines
        .map(|(index, line)| {
            serde_json::from_slice(line)
                .map_err(|problem| ArtifactError::malformed(path, Some(first_line + index), problem))
        })
        .collect()
}

/// Length of `bytes` up to and including the last newline.
fn complete_bytes(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |index| index + 1)
}

fn complete_length(file: &mut File) -> io::Result<u64> {
    const CHUNK: u64 = 4096;
    let mut end = file.metadata()?.len();
    while end > 0 {
        let start = end.saturating_sub(CHUNK);
        let mut chunk = vec![0; (end - start) as usize];
        file.seek(SeekFrom::Start(start))?;
        file.read_exact(&mut chunk)?;
        let complete = complete_bytes(&chunk) as u64;
        if complete > 0 {
            return Ok(start + complete);
        }
        end = start;
    }
    Ok(0)
}

fn ends_row(file: &mut File, position: u64) -> io::Result<bool> {
    if position == 0 {
        return Ok(true);
    }
    let mut byte = [0];
    file.seek(SeekFrom::Start(position - 1))?;
    file.read_exact(&mut byte)?;
    file.seek(SeekFrom::End(0))?;
    Ok(byte == [b'\n'])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tempfile::TempDir;

    use super::*;
    use crate::MetricScope;

    fn row(step: u64) -> MetricRow {
        MetricRow::new("train", MetricScope::Interval, 1, step, [("loss", 1.0 / step as f64)])
    }

    /// A log with the rows of steps 1 to `steps`.
    fn log_of(steps: u64) -> (MetricLog, PathBuf, TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let mut log = MetricLog::open_append(&path).unwrap();
        (1..=steps).for_each(|step| log.append(&row(step)).unwrap());
        (log, path, folder)
    }

    #[test]
    fn a_resumed_log_equals_an_uninterrupted_one() {
        let (_, whole, _folder) = log_of(9);
        let (mut log, path, _other_folder) = log_of(4);
        let position = log.position();
        (5..=7).for_each(|step| log.append(&row(step)).unwrap());
        drop(log);
        let mut log = MetricLog::open_append(&path).unwrap();
        log.truncate_to(position).unwrap();
        (5..=9).for_each(|step| log.append(&row(step)).unwrap());
        assert_eq!(fs::read(path).unwrap(), fs::read(whole).unwrap());
    }

    #[test]
    fn an_incomplete_last_line_is_skipped_and_then_cut_off() {
        let (log, path, _folder) = log_of(2);
        let whole = log.position();
        let mut torn = fs::read(&path).unwrap();
        // Longer than the chunks in which the last newline is searched.
        torn.extend([b'x'; 10_000]);
        fs::write(&path, torn).unwrap();
        assert_eq!(MetricLog::read(&path).unwrap(), [row(1), row(2)]);
        let mut log = MetricLog::open_append(&path).unwrap();
        assert_eq!(log.position(), whole);
        log.append(&row(3)).unwrap();
        assert_eq!(MetricLog::read(&path).unwrap(), [row(1), row(2), row(3)]);
    }

    #[test]
    fn a_log_shorter_than_its_checkpoint_is_refused_and_unchanged() {
        let (mut log, path, _folder) = log_of(2);
        let before = fs::read(&path).unwrap();
        let error = log.truncate_to(1000).unwrap_err();
        assert!(matches!(error, ArtifactError::LogTooShort { expected: 1000, .. }));
        assert!(matches!(log.truncate_to(5), Err(ArtifactError::Malformed { .. })), "within a row");
        assert_eq!(fs::read(&path).unwrap(), before);
        log.append(&row(3)).unwrap();
        assert_eq!(MetricLog::read(&path).unwrap().len(), 3, "the refusals did not move the end");
    }

    #[test]
    fn a_log_can_be_truncated_to_nothing() {
        let (mut log, path, _folder) = log_of(2);
        log.truncate_to(0).unwrap();
        assert_eq!(MetricLog::read(&path).unwrap(), []);
    }

    #[test]
    fn a_broken_complete_line_is_an_error_with_its_number() {
        let (_, path, _folder) = log_of(2);
        fs::write(&path, [fs::read(&path).unwrap(), b"{}\n".to_vec()].concat()).unwrap();
        let message = MetricLog::read(&path).unwrap_err().to_string();
        assert!(message.contains("metrics.jsonl, line 3: missing field `split`"), "{message}");
    }

    #[test]
    fn a_missing_file_has_no_rows() {
        let (_, path, _folder) = log_of(0);
        assert_eq!(MetricLog::read(&path.with_file_name("absent")).unwrap(), []);
    }

    #[test]
    fn timings_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("timings.jsonl");
        let rows = [TimingRow::now("train", MetricScope::Epoch, 1, 10, 2.0, 100)];
        TimingLog::open_append(&path).unwrap().append(&rows[0]).unwrap();
        assert_eq!(TimingLog::read(&path).unwrap(), rows);
        assert!((rows[0].examples_per_second - 50.0).abs() < 1e-12);
    }

    proptest! {
        #[test]
        fn a_log_that_is_cut_anywhere_keeps_the_rows_before_it(cut in 0_usize..400) {
            let (_, path, _folder) = log_of(5);
            let mut bytes = fs::read(&path).unwrap();
            bytes.truncate(cut);
            let complete = bytes.split(|byte| *byte == b'\n').count() as u64 - 1;
            fs::write(&path, bytes).unwrap();
            let expected: Vec<MetricRow> = (1..=complete).map(row).collect();
            prop_assert_eq!(MetricLog::read(&path).unwrap(), expected);
        }
    }

    fn row_with_loss(step: u64, loss: f64) -> MetricRow {
        MetricRow::new("train", MetricScope::Interval, 1, step, [("loss", loss)])
    }

    fn log_and_tail(folder: &tempfile::TempDir) -> (MetricLog, MetricTail) {
        let path = folder.path().join("metrics.jsonl");
        let tail = MetricTail::new(&path);
        (MetricLog::open_append(&path).unwrap(), tail)
    }

    fn new_rows(rows: &[MetricRow]) -> TailPoll<MetricRow> {
        TailPoll { restarted: false, rows: rows.to_vec() }
    }

    #[test]
    fn each_row_is_returned_once() {
        let folder = tempfile::tempdir().unwrap();
        let (mut log, mut tail) = log_and_tail(&folder);
        assert_eq!(tail.poll().unwrap(), new_rows(&[]));
        log.append(&row_with_loss(1, 0.5)).unwrap();
        log.append(&row_with_loss(2, 0.4)).unwrap();
        assert_eq!(tail.poll().unwrap(), new_rows(&[row_with_loss(1, 0.5), row_with_loss(2, 0.4)]));
        assert_eq!(tail.poll().unwrap(), new_rows(&[]));
        log.append(&row_with_loss(3, 0.3)).unwrap();
        assert_eq!(tail.poll().unwrap(), new_rows(&[row_with_loss(3, 0.3)]));
    }

    #[test]
    fn the_tail_waits_for_the_file_and_for_the_end_of_a_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let mut tail = MetricTail::new(&path);
        assert_eq!(tail.poll().unwrap(), new_rows(&[]));
        let line = serde_json::to_string(&row_with_loss(1, 0.5)).unwrap() + "\n";
        let (head, rest) = line.split_at(20);
        fs::write(&path, head).unwrap();
        assert_eq!(tail.poll().unwrap(), new_rows(&[]));
        fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(rest.as_bytes()).unwrap();
        assert_eq!(tail.poll().unwrap(), new_rows(&[row_with_loss(1, 0.5)]));
    }

    #[test]
    fn the_tail_begins_again_after_the_log_was_truncated() {
        let folder = tempfile::tempdir().unwrap();
        let (mut log, mut tail) = log_and_tail(&folder);
        log.append(&row_with_loss(1, 0.5)).unwrap();
        let position = log.position();
        log.append(&row_with_loss(2, 0.4)).unwrap();
        tail.poll().unwrap();
        log.truncate_to(position).unwrap();
        assert_eq!(tail.poll().unwrap(), TailPoll { restarted: true, rows: vec![row_with_loss(1, 0.5)] });
        log.append(&row_with_loss(2, 0.4)).unwrap();
        assert_eq!(tail.poll().unwrap(), new_rows(&[row_with_loss(2, 0.4)]));
    }

    #[test]
    fn the_tail_begins_again_after_the_log_was_truncated_and_has_grown_longer() {
        let folder = tempfile::tempdir().unwrap();
        let (mut log, mut tail) = log_and_tail(&folder);
        log.append(&row_with_loss(1, 0.5)).unwrap();
        log.append(&row_with_loss(2, 0.4)).unwrap();
        tail.poll().unwrap();
        log.truncate_to(0).unwrap();
        let other = [row_with_loss(1, 0.6), row_with_loss(2, 0.7), row_with_loss(3, 0.8)];
        for row in &other {
            log.append(row).unwrap();
        }
        assert_eq!(tail.poll().unwrap(), TailPoll { restarted: true, rows: other.to_vec() });
    }

    #[test]
    fn the_tail_begins_again_after_the_log_was_removed() {
        let folder = tempfile::tempdir().unwrap();
        let (mut log, mut tail) = log_and_tail(&folder);
        log.append(&row_with_loss(1, 0.5)).unwrap();
        tail.poll().unwrap();
        fs::remove_file(folder.path().join("metrics.jsonl")).unwrap();
        assert_eq!(tail.poll().unwrap(), TailPoll { restarted: true, rows: vec![] });
        assert_eq!(tail.poll().unwrap(), new_rows(&[]));
    }
}
