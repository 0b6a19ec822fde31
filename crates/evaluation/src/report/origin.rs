//! What the run came from.

use maud::html;

use super::Story;
use super::page::Section;

/// Versions, machine, data.
pub(super) fn section(story: &Story<'_>) -> Option<Section> {
    let provenance = story.provenance.as_ref()?;
    let machine = &provenance.machine;
    let unknown = || "unknown".to_owned();
    let cores = machine.cores.map_or_else(unknown, |cores| cores.to_string());
    let git = provenance.git.as_ref().map_or_else(
        || "not in a git checkout".to_owned(),
        |git| format!("{}{}", git.commit, if git.dirty { " with changes (git.diff)" } else { "" }),
    );
    let adapter = provenance.adapter.as_deref().unwrap_or_default();
    let facts = [
        ("run", format!("{}/{}", story.run.name(), story.run.id())),
        ("started", story.status.started.to_string()),
        ("training time", format!("{:.1} s", story.status.elapsed_seconds)),
        ("epochs and steps", format!("{} and {}", story.status.epoch, story.status.step)),
        ("backend", format!("{} on {adapter}, {} threads", provenance.backend, provenance.threads)),
        (
            "machine",
            format!("{}, {cores} cores, {}", machine.cpu.clone().unwrap_or_else(unknown), machine.os),
        ),
        ("trained on", format!("{}, SHA-256 {}", provenance.dataset.name, provenance.dataset.sha256)),
        ("seed", provenance.seed.to_string()),
        ("Kiln, Burn, compiler", {
            let build = &provenance.build;
            format!("{}, {}, {}", build.kiln, build.burn, build.rustc)
        }),
        ("source", git),
    ];
    let content = html! {
        table.words { @for (name, value) in facts { tr { th scope="row" { (name) } td { (value) } } } }
        p.note {
            "More in run.json, metrics.jsonl"
            @if let Some(tested) = &story.tested { " and the folder evaluation/" (tested.name) }
            "."
        }
    };
    Some(Section { anchor: "provenance", heading: "Provenance", content })
}
