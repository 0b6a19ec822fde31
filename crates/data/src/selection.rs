//! The classes that an experiment keeps, renumbered in the order in which it names them.

use kiln_config::ClassLabel;

use crate::{DataError, Fault, Split};

/// Which class becomes which.
#[derive(Debug)]
pub(crate) struct Selection {
    /// Names of the classes that are kept, by new number.
    pub(crate) classes: Vec<String>,
    /// New number of every class of the source; none for those left out.
    new_number: Vec<Option<u32>>,
}

impl Selection {
    /// The classes that `wanted` names; all of `classes` if it names none.
    ///
    /// # Errors
    /// If a class does not exist or is named twice, or only one is kept.
    pub(crate) fn new(classes: &[String], wanted: &[ClassLabel]) -> Result<Self, DataError> {
        if wanted.is_empty() {
            let new_number = (0..classes.len() as u32).map(Some).collect();
            return Ok(Self { classes: classes.to_vec(), new_number });
        }
        let mut selection = Self { classes: Vec::new(), new_number: vec![None; classes.len()] };
        for label in wanted {
            let class = find(classes, label)?;
            if selection.new_number[class].is_some() {
                return Err(repeated(&classes[class]));
            }
            selection.new_number[class] = Some(selection.classes.len() as u32);
            selection.classes.push(classes[class].clone());
        }
        if selection.classes.len() == 1 {
            let fault = Fault::in_key("data.classes", "at least two classes", "one");
            return Err(DataError::unfit(
                "only one class",
                fault.remedy("a classifier needs classes to tell apart"),
            ));
        }
        Ok(selection)
    }

    /// The examples of `split` whose class is kept.
    pub(crate) fn apply(&self, split: &Split) -> Split {
        split.relabel(|label| self.new_number[label as usize])
    }
}

/// The number of the class that `label` means. A number is taken as the name of a class where there is such
/// a name (csv classes may be called 3 and 7), and else as the class's number.
fn find(classes: &[String], label: &ClassLabel) -> Result<usize, DataError> {
    let (name, number) = match label {
        ClassLabel::Name(name) => (name.clone(), None),
        ClassLabel::Number(number) => (number.to_string(), Some(*number)),
    };
    classes
        .iter()
        .position(|class| *class == name)
        .or(number.filter(|&number| number < classes.len()))
        .ok_or_else(|| unknown(classes, &name))
}

fn unknown(classes: &[String], name: &str) -> DataError {
    let names: Vec<String> =
        (0..).zip(classes).map(|(number, class)| format!("{number} ({class})")).collect();
    let expected = format!("a class of this data: {}", names.join(", "));
    DataError::unfit("unknown class", Fault::in_key("data.classes", expected, format!("\"{name}\"")))
}

fn repeated(name: &str) -> DataError {
    let fault = Fault::in_key("data.classes", "every class once", format!("\"{name}\" twice"));
    DataError::unfit("repeated class", fault.remedy("name it once"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::Storage;

    fn classes(names: &[&str]) -> Vec<String> {
        names.iter().copied().map(String::from).collect()
    }

    #[test]
    fn classes_are_renumbered_in_the_order_that_the_user_names_them() {
        let wanted = [ClassLabel::Number(2), ClassLabel::Name("ant".into())];
        let selection = Selection::new(&classes(&["ant", "bee", "cat"]), &wanted).unwrap();
        assert_eq!(selection.classes, ["cat", "ant"]);
        let split = Split::new(Storage::bytes(1, vec![10, 11, 12, 13], 255), vec![0, 1, 2, 0]);
        let kept = selection.apply(&split);
        assert_eq!(kept.labels(), [1, 0, 1]);
        assert_eq!(kept.raw(1), crate::Raw::Bytes(&[12]));
    }

    #[test]
    fn a_number_means_the_class_of_that_name_first() {
        let selection =
            Selection::new(&classes(&["3", "7", "9"]), &[ClassLabel::Number(7), ClassLabel::Number(0)]);
        assert_eq!(selection.unwrap().classes, ["7", "3"]);
    }

    #[test]
    fn an_unknown_class_is_answered_with_those_there_are() {
        let error = Selection::new(&classes(&["ant", "bee"]), &[ClassLabel::Name("cat".into())]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "unknown class: data.classes: expected a class of this data: 0 (ant), 1 (bee), found \"cat\""
        );
    }
}
