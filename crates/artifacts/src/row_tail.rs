//! The reading end of a log that somebody else is writing.

use std::{
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom},
    marker::PhantomData,
    path::PathBuf,
};

use crate::{
    ArtifactError, MetricRow, Row,
    row_log::{complete_bytes, parse_rows},
};

/// Follows `metrics.jsonl`.
pub type MetricTail = RowTail<MetricRow>;

/// What a look at a log found.
#[derive(Clone, Debug, PartialEq)]
pub struct TailPoll<R> {
    /// True when the log was cut back since the last look, as a resume does: forget the rows of earlier
    /// looks, `rows` holds the log from its beginning.
    pub restarted: bool,
    /// The rows that are new.
    pub rows: Vec<R>,
}

/// Follows a log from its beginning, row by complete row.
#[derive(Debug)]
pub struct RowTail<R> {
    path: PathBuf,
    /// Bytes that were handed out as rows.
    offset: u64,
    /// Complete lines that were handed out.
    lines: usize,
    /// The last line that was handed out. A log that was cut and has grown again is as long as before, but
    /// has another line there; where it has the same, it is the same log, for each row names its step.
    last_line: Vec<u8>,
    row: PhantomData<fn() -> R>,
}

impl<R: Row> RowTail<R> {
    /// A reader at the beginning of the log, which need not be there yet.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), offset: 0, lines: 0, last_line: Vec::new(), row: PhantomData }
    }

    /// The rows that were completed since the last look.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, or a complete line is not a row.
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

    /// Goes back to the beginning; true when rows were handed out already.
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

#[cfg(test)]
mod tests {
    use std::{fs, io::Write as _};

    use super::*;
    use crate::{MetricLog, Scope};

    fn row(step: u64, loss: f64) -> MetricRow {
        MetricRow::new("train", Scope::Interval, 1, step, [("loss", loss)])
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
    fn hands_out_each_row_once() {
        let folder = tempfile::tempdir().unwrap();
        let (mut log, mut tail) = log_and_tail(&folder);
        assert_eq!(tail.poll().unwrap(), new_rows(&[]));
        log.append(&row(1, 0.5)).unwrap();
        log.append(&row(2, 0.4)).unwrap();
        assert_eq!(tail.poll().unwrap(), new_rows(&[row(1, 0.5), row(2, 0.4)]));
        assert_eq!(tail.poll().unwrap(), new_rows(&[]));
        log.append(&row(3, 0.3)).unwrap();
        assert_eq!(tail.poll().unwrap(), new_rows(&[row(3, 0.3)]));
    }

    #[test]
    fn waits_for_the_file_and_for_the_end_of_a_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let mut tail = MetricTail::new(&path);
        assert_eq!(tail.poll().unwrap(), new_rows(&[]));
        let line = serde_json::to_string(&row(1, 0.5)).unwrap() + "\n";
        let (head, rest) = line.split_at(20);
        fs::write(&path, head).unwrap();
        assert_eq!(tail.poll().unwrap(), new_rows(&[]));
        fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(rest.as_bytes()).unwrap();
        assert_eq!(tail.poll().unwrap(), new_rows(&[row(1, 0.5)]));
    }

    #[test]
    fn begins_again_when_the_log_was_cut_back() {
        let folder = tempfile::tempdir().unwrap();
        let (mut log, mut tail) = log_and_tail(&folder);
        log.append(&row(1, 0.5)).unwrap();
        let position = log.position();
        log.append(&row(2, 0.4)).unwrap();
        tail.poll().unwrap();
        log.truncate_to(position).unwrap();
        assert_eq!(tail.poll().unwrap(), TailPoll { restarted: true, rows: vec![row(1, 0.5)] });
        log.append(&row(2, 0.4)).unwrap();
        assert_eq!(tail.poll().unwrap(), new_rows(&[row(2, 0.4)]));
    }

    #[test]
    fn begins_again_when_the_log_was_cut_and_has_grown_past_the_place() {
        let folder = tempfile::tempdir().unwrap();
        let (mut log, mut tail) = log_and_tail(&folder);
        log.append(&row(1, 0.5)).unwrap();
        log.append(&row(2, 0.4)).unwrap();
        tail.poll().unwrap();
        log.truncate_to(0).unwrap();
        let other = [row(1, 0.6), row(2, 0.7), row(3, 0.8)];
        for row in &other {
            log.append(row).unwrap();
        }
        assert_eq!(tail.poll().unwrap(), TailPoll { restarted: true, rows: other.to_vec() });
    }

    #[test]
    fn begins_again_when_the_log_was_removed() {
        let folder = tempfile::tempdir().unwrap();
        let (mut log, mut tail) = log_and_tail(&folder);
        log.append(&row(1, 0.5)).unwrap();
        tail.poll().unwrap();
        fs::remove_file(folder.path().join("metrics.jsonl")).unwrap();
        assert_eq!(tail.poll().unwrap(), TailPoll { restarted: true, rows: vec![] });
        assert_eq!(tail.poll().unwrap(), new_rows(&[]));
    }
}
