//! Answers as a csv file of any length.

use std::fs::OpenOptions;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use kiln::Predictions;
use kiln_files::Replacement;

use crate::failure::Failure;
use crate::interrupt::leave_on_ctrl_c;
use crate::output::unwritable;

/// A csv file with a line for each answer: what was asked, the class, the probability of every class, and remarks. It
/// stands in its place when it is complete.
pub(crate) struct Answers<'a> {
    writer: csv::Writer<BufWriter<Sink>>,
    output: &'a Path,
    classes: &'a [String],
}

/// Where the lines go.
enum Sink {
    /// A file of the user's.
    File(Replacement),
    /// What cannot be replaced: standard output, a pipe, a device.
    Stream(Box<dyn Write>),
}

impl<'a> Answers<'a> {
    /// Begins the file `output` (`-` is standard output) for what is in `files`: the `asked` columns, and the columns of
    /// `remarks`. Columns that are added are told apart from those that are asked.
    pub(crate) fn begin(
        output: &'a Path,
        files: &[PathBuf],
        asked: &[String],
        classes: &'a [String],
        remarks: &[&str],
    ) -> Result<Self, Failure> {
        let place = output.canonicalize().ok();
        if place.is_some() && files.iter().any(|file| file.canonicalize().ok() == place) {
            let message = format!("{} is asked about: --output takes another file", output.display());
            return Err(Failure::usage(message));
        }
        let sink = Sink::open(output)?;
        if let Sink::File(file) = &sink {
            let temporary = file.temporary().to_owned();
            leave_on_ctrl_c(move || drop(std::fs::remove_file(&temporary)));
        }
        let writer = csv::Writer::from_writer(BufWriter::with_capacity(1 << 16, sink));
        let mut answers = Self { writer, output, classes };
        let header = header(asked, classes, remarks);
        answers.line(|writer| header.iter().try_for_each(|name| writer.write_field(name)))?;
        Ok(answers)
    }

    /// Writes a line: the cells of what was asked, the answer, if there is one, and remarks.
    pub(crate) fn write<'b>(
        &mut self,
        asked: impl IntoIterator<Item = &'b str>,
        answer: Option<(&Predictions, usize)>,
        remarks: &[&str],
    ) -> Result<(), Failure> {
        let classes = self.classes.len();
        self.line(|writer| {
            asked.into_iter().try_for_each(|cell| writer.write_field(cell))?;
            if let Some((predictions, at)) = answer {
                writer.write_field(&predictions.classes()[predictions.predicted()[at] as usize])?;
                for probability in predictions.probabilities(at) {
                    writer.write_field(probability.to_string())?;
                }
            } else {
                (0..=classes).try_for_each(|_| writer.write_field(""))?;
            }
            remarks.iter().try_for_each(|remark| writer.write_field(remark))
        })
    }

    /// Puts the file in its place.
    pub(crate) fn finish(self) -> Result<(), Failure> {
        let cannot_write = |cause: &io::Error| unwritable(self.output, cause);
        let buffered = self.writer.into_inner().map_err(|error| cannot_write(error.error()))?;
        match buffered.into_inner().map_err(|error| cannot_write(error.error()))? {
            Sink::File(file) => file.finish().map_err(|error| cannot_write(&error.cause)),
            Sink::Stream(_) => Ok(()),
        }
    }

    fn line(
        &mut self,
        write: impl FnOnce(&mut csv::Writer<BufWriter<Sink>>) -> Result<(), csv::Error>,
    ) -> Result<(), Failure> {
        let written = write(&mut self.writer).and_then(|()| self.writer.write_record(None::<&[u8]>));
        written.map_err(|error| unwritable(self.output, &error.into()))
    }
}

impl Sink {
    fn open(output: &Path) -> Result<Self, Failure> {
        if output == Path::new("-") {
            return Ok(Self::Stream(Box::new(io::stdout().lock())));
        }
        if output.exists() && !output.is_file() {
            let file =
                OpenOptions::new().write(true).open(output).map_err(|cause| unwritable(output, &cause))?;
            return Ok(Self::Stream(Box::new(file)));
        }
        Ok(Self::File(Replacement::begin(output).map_err(|error| unwritable(output, &error.cause))?))
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::File(file) => file.write(bytes),
            Self::Stream(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::File(file) => file.flush(),
            Self::Stream(stream) => stream.flush(),
        }
    }
}

/// The names of the columns; `class` is told apart from a column of the user's that is called so.
fn header(asked: &[String], classes: &[String], remarks: &[&str]) -> Vec<String> {
    let mut names = asked.to_vec();
    let added = std::iter::once("class".to_owned())
        .chain(classes.iter().map(|class| format!("probability_{class}")))
        .chain(remarks.iter().map(|remark| (*remark).to_owned()));
    for name in added {
        let taken = names.contains(&name);
        names.push(if taken { format!("predicted_{name}") } else { name });
    }
    names
}
