//! Append-only logs with one JSON object a line.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    marker::PhantomData,
    path::{Path, PathBuf},
};

use serde::{Serialize, de::DeserializeOwned};

use crate::{ArtifactError, MetricRow, TimingRow};

/// `metrics.jsonl`: the one truth about a run's figures. It holds no clock, so that two runs can be compared
/// byte for byte.
pub type MetricLog = RowLog<MetricRow>;

/// `timings.jsonl`: the clock.
pub type TimingLog = RowLog<TimingRow>;

/// What can be a line of a log.
pub trait Row: Serialize + DeserializeOwned {}

impl Row for MetricRow {}
impl Row for TimingRow {}

/// The writing end of a log: one writer, rows only ever added at the end.
///
/// Each row is handed to the system in one write, so a reader beside sees it at once; it survives a crash of
/// the process from then on, and a power cut after [`RowLog::sync`].
#[derive(Debug)]
pub struct RowLog<R> {
    path: PathBuf,
    file: File,
    position: u64,
    row: PhantomData<fn(&R)>,
}

impl<R: Row> RowLog<R> {
    /// Opens a log to add rows, making it if it is not there. A last line without its newline, as a crash
    /// leaves it, is cut off.
    ///
    /// # Errors
    ///
    /// When the file cannot be opened or cut.
    pub fn open_append(path: impl Into<PathBuf>) -> Result<Self, ArtifactError> {
        let path = path.into();
        // Not in append mode: Windows does not let such a file be cut.
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|cause| ArtifactError::io("open", &path, cause))?;
        let position = complete_length(&mut file).map_err(|cause| ArtifactError::io("read", &path, cause))?;
        let mut log = Self { path, file, position, row: PhantomData };
        log.cut().map_err(|cause| ArtifactError::io("cut", &log.path, cause))?;
        Ok(log)
    }

    /// Adds a row.
    ///
    /// # Errors
    ///
    /// When a figure has a reserved name, or the disk is full; the log then ends as before.
    pub fn append(&mut self, row: &R) -> Result<(), ArtifactError> {
        let mut line =
            serde_json::to_vec(row).map_err(|problem| ArtifactError::malformed(&self.path, None, problem))?;
        line.push(b'\n');
        if let Err(cause) = self.file.write_all(&line) {
            // Part of the line may have found room.
            let _ = self.cut();
            return Err(ArtifactError::io("append to", &self.path, cause));
        }
        self.position += line.len() as u64;
        Ok(())
    }

    /// Length of the log in bytes: what a checkpoint remembers, and [`RowLog::truncate_to`] takes.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Returns when every row is on the disk. To be called before a checkpoint that holds the position.
    ///
    /// # Errors
    ///
    /// When the system cannot write them.
    pub fn sync(&mut self) -> Result<(), ArtifactError> {
        self.file.sync_all().map_err(|cause| ArtifactError::io("sync", &self.path, cause))
    }

    /// Cuts the log back to the length that it had at a checkpoint.
    ///
    /// # Errors
    ///
    /// [`ArtifactError::LogTooShort`] when it is shorter than that already, [`ArtifactError::Malformed`]
    /// when no row ends there; the log is then untouched.
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

    /// Every complete row of a log, in order; none when there is no such file. A last line without its
    /// newline is passed over.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, or a complete line is not a row (with its number).
    pub fn read(path: &Path) -> Result<Vec<R>, ArtifactError> {
        match fs::read(path) {
            Ok(bytes) => parse_rows(path, &bytes[..complete_bytes(&bytes)], 1),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(cause) => Err(ArtifactError::io("read", path, cause)),
        }
    }

    /// Makes the file end at `position`, and the next row begin there.
    fn cut(&mut self) -> io::Result<()> {
        self.file.set_len(self.position)?;
        self.file.seek(SeekFrom::Start(self.position)).map(|_| ())
    }
}

/// The rows in `bytes`, which end with a newline or are empty.
pub(crate) fn parse_rows<R: Row>(
    path: &Path,
    bytes: &[u8],
    first_line: usize,
) -> Result<Vec<R>, ArtifactError> {
    let lines = bytes.split_inclusive(|byte| *byte == b'\n').enumerate();
    lines
        .map(|(index, line)| {
            serde_json::from_slice(line)
                .map_err(|problem| ArtifactError::malformed(path, Some(first_line + index), problem))
        })
        .collect()
}

/// Length of `bytes` up to and with the last newline.
pub(crate) fn complete_bytes(bytes: &[u8]) -> usize {
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
    use crate::Scope;

    fn row(step: u64) -> MetricRow {
        MetricRow::new("train", Scope::Interval, 1, step, [("loss", 1.0 / step as f64)])
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
    fn a_resumed_log_is_the_log_that_never_stopped() {
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
    fn a_torn_last_line_is_passed_over_and_then_cut_off() {
        let (log, path, _folder) = log_of(2);
        let whole = log.position();
        let mut torn = fs::read(&path).unwrap();
        // Longer than the chunks that the end of the last row is looked for in.
        torn.extend([b'x'; 10_000]);
        fs::write(&path, torn).unwrap();
        assert_eq!(MetricLog::read(&path).unwrap(), [row(1), row(2)]);
        let mut log = MetricLog::open_append(&path).unwrap();
        assert_eq!(log.position(), whole);
        log.append(&row(3)).unwrap();
        assert_eq!(MetricLog::read(&path).unwrap(), [row(1), row(2), row(3)]);
    }

    #[test]
    fn a_log_shorter_than_its_checkpoint_is_refused_untouched() {
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
    fn everything_can_be_cut_away() {
        let (mut log, path, _folder) = log_of(2);
        log.truncate_to(0).unwrap();
        assert_eq!(MetricLog::read(&path).unwrap(), []);
    }

    #[test]
    fn a_broken_line_within_is_an_error_with_its_number() {
        let (_, path, _folder) = log_of(2);
        fs::write(&path, [fs::read(&path).unwrap(), b"{}\n".to_vec()].concat()).unwrap();
        let message = MetricLog::read(&path).unwrap_err().to_string();
        assert!(message.contains("metrics.jsonl, line 3: missing field `split`"), "{message}");
    }

    #[test]
    fn no_file_is_no_rows() {
        let (_, path, _folder) = log_of(0);
        assert_eq!(MetricLog::read(&path.with_file_name("absent")).unwrap(), []);
    }

    #[test]
    fn timings_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("timings.jsonl");
        let rows = [TimingRow::now("train", Scope::Epoch, 1, 10, 2.0, 100)];
        TimingLog::open_append(&path).unwrap().append(&rows[0]).unwrap();
        assert_eq!(TimingLog::read(&path).unwrap(), rows);
        assert!((rows[0].examples_per_second - 50.0).abs() < 1e-12);
    }

    proptest! {
        #[test]
        fn any_cut_leaves_the_rows_before_it(cut in 0_usize..400) {
            let (_, path, _folder) = log_of(5);
            let mut bytes = fs::read(&path).unwrap();
            bytes.truncate(cut);
            let complete = bytes.split(|byte| *byte == b'\n').count() as u64 - 1;
            fs::write(&path, bytes).unwrap();
            let expected: Vec<MetricRow> = (1..=complete).map(row).collect();
            prop_assert_eq!(MetricLog::read(&path).unwrap(), expected);
        }
    }
}
