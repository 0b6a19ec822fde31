use super::*;
use crate::svg_parts::{Label, texts};

fn parallel() -> Parallel {
    let axis = |label: &str, names: [&str; 2]| ParallelAxis {
        label: label.to_owned(),
        ticks: vec![(0.0, names[0].to_owned()), (1.0, names[1].to_owned())],
    };
    let line = |label: &str, places: [Option<f64>; 3]| ParallelLine {
        label: label.to_owned(),
        places: places.to_vec(),
    };
    Parallel {
        title: "What was tried".to_owned(),
        axes: vec![
            axis("optimizer.lr", ["1e-4", "0.1"]),
            axis("optimizer.momentum", ["0.5", "0.95"]),
            axis("validation loss", ["2.30", "0.05"]),
        ],
        lines: vec![
            line("trial-0007", [Some(0.8), Some(0.5), Some(1.0)]),
            line("trial-0003", [Some(0.1), None, Some(0.0)]),
        ],
    }
}

#[test]
fn every_axis_has_its_name_and_its_ends() {
    let svg = parallel().to_svg().unwrap();
    let texts = texts(&svg);
    for text in
        ["What was tried", "optimizer.lr", "optimizer.momentum", "validation loss", "1e-4", "0.95", "0.05"]
    {
        assert!(texts.iter().any(|found| found == text), "{text} in {texts:?}");
    }
    Label::assert_apart(&svg);
    assert!(svg.contains("trial-0007"), "said under the pointer");
    assert!(parallel().to_png().unwrap().starts_with(b"\x89PNG"));
}

#[test]
fn a_line_without_a_value_is_interrupted_there() {
    let paths = |parallel: &Parallel| parallel.to_svg().unwrap().matches("<polyline").count();
    let whole = paths(&parallel());
    let mut cut = parallel();
    cut.lines[0].places[1] = None;
    // The two ends of an interrupted line are dots.
    assert_eq!(paths(&cut), whole - 1);
}

#[test]
fn nothing_to_draw_is_said() {
    let error = Parallel { lines: Vec::new(), ..parallel() }.to_svg().unwrap_err();
    assert!(matches!(error, PlotError::Nothing { .. }));
}
