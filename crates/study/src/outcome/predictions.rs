//! Test predictions, as the evaluation keeps them.

use std::path::Path;

/// What a network said of one test example.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prediction {
    /// Number of the example in the test split.
    pub index: u64,
    /// Whether the predicted class is the true one.
    pub is_right: bool,
}

/// The predictions of `predictions.csv`, by its columns `index`, `true` and `predicted`; none where the file is
/// missing or has no such columns.
pub(super) fn read(path: &Path) -> Option<Vec<Prediction>> {
    let mut table = csv::Reader::from_path(path).ok()?;
    let head = table.headers().ok()?.clone();
    let column = |name: &str| head.iter().position(|column| column == name);
    let [index, truth, predicted] = [column("index")?, column("true")?, column("predicted")?];
    let rows = table.records().map(|row| {
        let row = row.ok()?;
        let is_right = row.get(truth)? == row.get(predicted)?;
        Some(Prediction { index: row.get(index)?.parse().ok()?, is_right })
    });
    rows.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_found_by_name_and_anything_else_is_no_prediction() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("predictions.csv");
        std::fs::write(&path, "true,index,p_0,predicted\n1,0,0.2,1\n0,1,0.4,1\n").unwrap();
        let expected = [Prediction { index: 0, is_right: true }, Prediction { index: 1, is_right: false }];
        assert_eq!(read(&path).unwrap(), expected);
        std::fs::write(&path, "true,index\n1,0\n").unwrap();
        assert_eq!(read(&path), None);
        assert_eq!(read(&folder.path().join("nothing.csv")), None);
    }
}
