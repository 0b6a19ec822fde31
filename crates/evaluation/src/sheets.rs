//! The gallery as pictures of its own.

use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kiln_artifacts::replace_file;
use kiln_plot::{Sheet, Tile};
use rayon::prelude::*;

use crate::evaluation_files::remove_if_there;
use crate::{EvaluationError, Gallery, GalleryExample};

/// Writes `random.png`, `most_confident_mistakes.png` and `least_certain.png` into `folder`, as far as there are
/// such examples. What is no image has no pictures.
pub(crate) fn write(gallery: &Gallery, classes: &[String], folder: &Path) -> Result<(), EvaluationError> {
    let Some(image_size) = gallery.image_size else { return Ok(()) };
    fs::create_dir_all(folder).map_err(|cause| EvaluationError::Io {
        action: "create",
        path: folder.to_owned(),
        cause,
    })?;
    let sheets = [
        ("random.png", "Images at random", &gallery.random),
        ("most_confident_mistakes.png", "The most confident mistakes", &gallery.most_confident_mistakes),
        ("least_certain.png", "The least certain predictions", &gallery.least_certain),
    ];
    sheets.into_par_iter().try_for_each(|(name, title, positions)| {
        if positions.is_empty() {
            return remove_if_there(&folder.join(name));
        }
        let examples = positions.iter().filter_map(|at| Some((*at, gallery.examples.get(at)?)));
        let tiles = examples.map(|(at, example)| tile(at, example, image_size, classes)).collect();
        let path = folder.join(name);
        let png = Sheet { title: title.to_owned(), image_size, tiles }
            .to_png()
            .map_err(|problem| EvaluationError::Plot { path: path.clone(), problem: problem.to_string() })?;
        Ok(replace_file(&path, &png)?)
    })
}

fn tile(at: u32, example: &GalleryExample, [height, width]: [usize; 2], classes: &[String]) -> Tile {
    let [truth, predicted] = [example.truth, example.predicted].map(|class| &classes[class as usize]);
    let percent =
        example.probability.map_or_else(String::new, |probability| format!(" {:.0} %", probability * 100.0));
    let is_marked = truth != predicted;
    let said = if is_marked { format!("said {predicted}{percent}") } else { format!("right{percent}") };
    Tile {
        pixels: pixels(example).unwrap_or_else(|| vec![[0; 3]; height * width]),
        lines: vec![format!("#{at}: {truth}"), said],
        is_marked,
    }
}

/// The colours of an example's own picture; none where that is damaged.
fn pixels(example: &GalleryExample) -> Option<Vec<[u8; 3]>> {
    let png = STANDARD.decode(example.png.as_ref()?).ok()?;
    Some(image::load_from_memory(&png).ok()?.into_rgb8().pixels().map(|pixel| pixel.0).collect())
}
