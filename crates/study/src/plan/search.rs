//! `[search]` of a study file: reads the space, and checks it against the configuration's rules for every key.

use kiln_config::{ConfigError, Document, Explanation, Located, Origin, Problem, explain, keys, shown};
use toml::de::{DeTable, DeValue};

use crate::plan::ExperimentResolver;
use crate::plan::file::{SearchTable, StudyFile, table_at, toml_text};
use crate::search::{Condition, Dimension, Domain, NumberRange, Search, SearchMethod};
use crate::work::prepared;

/// Keys, and sections with a dot, that a search cannot vary: they decide how long trials train or on which data they
/// are compared, or they do not change the result.
const FIXED: [&str; 16] = [
    "name",
    "tags",
    "seed",
    "training.epochs",
    "training.max_steps",
    "training.max_time",
    "data.source",
    "data.path",
    "data.validation",
    "data.validation_path",
    "data.folds",
    "data.test",
    "data.test_path",
    "data.test_folds",
    "backend.",
    "dashboard.",
];
/// The most points of a grid.
const MOST_POINTS: usize = 100_000;

/// Draws that are checked before anything is trained: settings that contradict each other show in a few.
const CHECKED_DRAWS: usize = 24;
/// Points of a grid that are checked: neighbours differ in a single key.
const CHECKED_POINTS: usize = 96;
/// The greatest length of a list: no network here is deeper.
const LONGEST_LIST: f64 = 64.0;

/// The search of the file. Its base is resolved with the first of `seeds`.
pub(super) fn read_search(
    resolver: &ExperimentResolver<'_>,
    file: &Located<StudyFile>,
    table: &DeTable<'_>,
    seeds: Option<Vec<u64>>,
    problems: &mut Vec<Problem>,
) -> Option<Search> {
    let found: &SearchTable = &file.value.search;
    if seeds.as_ref().is_some_and(Vec::is_empty) {
        // `seeds` has reported the empty list.
        return None;
    }
    let base =
        match resolver.resolve(&DeTable::new(), seeds.as_ref().and_then(|seeds| seeds.first().copied())) {
            Ok(base) => prepared(base, "base"),
            Err(error) => {
                problems.extend(error.problems);
                return None;
            }
        };
    let before = problems.len();
    let mut reader = SpaceReader { resolver, document: resolver.document, space: Vec::new(), problems };
    if let Some(space) = table_at(table, "search").and_then(|search| table_at(search, "space")) {
        reader.table("", space);
    }
    let space = std::mem::take(&mut reader.space);
    if space.is_empty() && problems.len() == before {
        let message = "nothing to search: give `[search.space]` with a key such as \
                       `optimizer.lr = { min = 1e-4, max = 0.1, log = true }`";
        problems.push(file.problem("search", message.to_owned()));
    }
    let is_grid = found.method == SearchMethod::Grid;
    if !is_grid && found.trials.is_none() && found.epochs.is_none() && found.seconds.is_none() {
        let message = "a search needs an end: give `trials`, `epochs` or `seconds`";
        problems.push(file.problem("search", message.to_owned()));
    }
    for dimension in space.iter().filter(|dimension| is_grid && dimension.size().is_none()) {
        let key = &dimension.key;
        let message = format!("a grid needs the values of `{key}`: give `choices`, or `step` for a range");
        problems.push(file.problem("search", message));
    }
    let points = || {
        let mut sizes = space.iter().map(|dimension| dimension.size().unwrap_or(1));
        sizes.try_fold(1_usize, usize::checked_mul).unwrap_or(usize::MAX)
    };
    if is_grid && points() > MOST_POINTS {
        let message =
            format!("the grid has more than {MOST_POINTS} points: use `method = \"random\"` or \"tpe\"");
        problems.push(file.problem("search", message));
        return None;
    }
    if let Some(halving) = found.halving
        && (halving.min_epochs == 0 || halving.min_epochs >= base.training.epochs)
    {
        let message = format!(
            "`search.halving.min_epochs` = {} must be at least 1 and below `training.epochs` = {}",
            halving.min_epochs, base.training.epochs
        );
        problems.push(file.problem("search.halving.min_epochs", message));
    }
    if found.monitor.needs_validation() && !base.data.has_validation() {
        let message = "the search compares a validation figure, but there is no validation split: set `data.validation`, or \
                       `search.monitor = \"train_loss\"`";
        problems.push(file.problem("search.monitor", message.to_owned()));
    }
    if found.mode.is_some_and(|mode| mode != found.monitor.mode()) {
        let message = "this `search.mode` would look for the worst trial: a lower loss is better, and a higher accuracy";
        problems.push(file.problem("search.mode", message.to_owned()));
    }
    problems.extend(set_as_well(resolver, &space));
    if problems.len() > before {
        return None;
    }
    let seeds = seeds.unwrap_or_else(|| vec![base.seed]);
    let search = Search {
        method: found.method,
        seed: found.seed,
        wave: found.wave,
        trials: found.trials,
        epochs: found.epochs,
        seconds: found.seconds,
        monitor: found.monitor,
        space,
        halving: found.halving,
        confirm: found.confirm,
        base,
        seeds,
        folds: file.value.folds,
    };
    problems.extend(search.contradiction().map(|message| file.problem("search", message)));
    (problems.len() == before).then_some(search)
}

/// Problems with arguments that set a key of the space.
fn set_as_well(resolver: &ExperimentResolver<'_>, space: &[Dimension]) -> Vec<Problem> {
    let searched = |argument: &String| {
        let key = argument.split_once('=')?.0.trim();
        space.iter().any(|dimension| dimension.key == key).then(|| {
            let origin = Origin::CommandLine { text: argument.clone() };
            Problem::at(origin, format!("`{key}` is in the search space: it cannot be set as well"))
        })
    };
    resolver.overrides.iter().filter_map(searched).collect()
}

impl Search {
    /// The first contradiction among some draws, in words.
    fn contradiction(&self) -> Option<String> {
        let points = if self.method == SearchMethod::Grid { CHECKED_POINTS } else { CHECKED_DRAWS };
        self.first_points(points).into_iter().find_map(|settings| {
            let error = self.experiment("trial", &settings, self.seeds[0]).err()?.to_string();
            let settings: Vec<String> =
                settings.iter().map(|(key, value)| format!("{key}={value}")).collect();
            Some(format!(
                "the space contains settings that contradict each other ({}): {}",
                settings.join(" "),
                error.lines().next().unwrap_or_default()
            ))
        })
    }
}

/// Reads `[search.space]`.
struct SpaceReader<'a, 'p> {
    resolver: &'a ExperimentResolver<'a>,
    document: &'a Document<'a>,
    space: Vec<Dimension>,
    problems: &'p mut Vec<Problem>,
}

type SpaceEntry<'t, 'a> = (&'t toml::Spanned<toml::de::DeString<'a>>, &'t toml::Spanned<DeValue<'a>>);

impl SpaceReader<'_, '_> {
    fn table(&mut self, section: &str, table: &DeTable<'_>) {
        for (name, value) in table {
            let path = if section.is_empty() {
                name.get_ref().to_string()
            } else {
                format!("{section}.{}", name.get_ref())
            };
            let is_key = keys().contains(&path.as_str());
            let is_section = keys().iter().any(|key| key.starts_with(&format!("{path}.")));
            match value.get_ref() {
                DeValue::Table(inner) if is_section && !is_key => self.table(&path, inner),
                _ => self.dimension(&path, (name, value)),
            }
        }
    }

    fn dimension(&mut self, key: &str, (name, value): SpaceEntry<'_, '_>) {
        let span = name.span();
        let known = keys().contains(&key);
        let is_fixed =
            FIXED.iter().any(|fixed| key == *fixed || (fixed.ends_with('.') && key.starts_with(fixed)));
        if !known || is_fixed {
            let message = if known {
                format!(
                    "`{key}` cannot be searched: trials that differ in it cannot be compared, or do not differ at all"
                )
            } else {
                // The configuration's own message, with the nearest key.
                self.rejected(&format!("{key} = 0"), &[]).unwrap_or_else(|| format!("unknown key `{key}`"))
            };
            return self.problem(&span, message);
        }
        let dimension = value
            .get_ref()
            .as_table()
            .ok_or_else(|| {
                let found = shown(value.get_ref());
                format!("`{key}` = {found}: write `{{ choices = [...] }}` or `{{ min = ..., max = ... }}`")
            })
            .and_then(|table| read_dimension(key, table));
        let dimension = match dimension {
            Ok(dimension) => dimension,
            Err(message) => return self.problem(&span, message),
        };
        let beside = match dimension.when.as_ref().map(|when| self.condition(key, when)) {
            None => Vec::new(),
            Some(Ok(setting)) => vec![setting],
            Some(Err(message)) => return self.problem(&span, message),
        };
        for end in dimension.ends() {
            if let Some(message) = self.rejected(&format!("{key} = {end}"), &beside) {
                return self.problem(&span, message);
            }
        }
        self.space.push(dimension);
    }

    /// A setting that fulfils the condition of a conditional key.
    fn condition(&self, key: &str, when: &Condition) -> Result<String, String> {
        let other = self.space.iter().find(|dimension| dimension.key == when.key);
        let Some(other) = other else {
            return Err(format!("`{key}` depends on `{}`, which must come before it in the space", when.key));
        };
        let Domain::Choices(choices) = &other.domain else {
            return Err(format!("`{key}` depends on `{}`, which must have `choices`", when.key));
        };
        match when.values.iter().find(|value| !choices.contains(value)) {
            Some(value) => Err(format!(
                "`{key}` depends on `{}` = {value}, which is not among its choices: {}",
                when.key,
                choices.join(", ")
            )),
            None => Ok(format!("{} = {}", when.key, when.values[0])),
        }
    }

    /// The configuration's objection to a setting; `None` if it accepts it.
    fn rejected(&self, setting: &str, beside: &[String]) -> Option<String> {
        let text = beside.iter().map(String::as_str).chain([setting]).collect::<Vec<_>>().join("\n");
        let document = Document::new("search.space", &text);
        let table = match document.table() {
            Ok(table) => table,
            Err(problems) => return Some(ConfigError::new(problems).to_string()),
        };
        let error = self.resolver.resolve_in(&document, &table).err()?;
        error.problems.first().map(|problem| problem.fault.to_string())
    }

    fn problem(&mut self, span: &std::ops::Range<usize>, message: String) {
        self.problems.push(Problem::at(self.document.origin(span), message));
    }
}

/// Reads one dimension from its table.
fn read_dimension(key: &str, table: &DeTable<'_>) -> Result<Dimension, String> {
    const KNOWN: [&str; 7] = ["choices", "min", "max", "log", "step", "length", "when"];
    let get =
        |name: &str| table.iter().find(|(key, _)| key.get_ref() == name).map(|(_, value)| value.get_ref());
    if let Some((unknown, _)) = table.iter().find(|(name, _)| !KNOWN.contains(&name.get_ref().as_ref())) {
        let unknown = unknown.get_ref();
        let hint = kiln_config::nearest_word(unknown, KNOWN.into_iter())
            .map_or_else(|| KNOWN.join(", "), |meant| format!("did you mean `{meant}`?"));
        return Err(format!("unknown key `{unknown}` in `{key}`; {hint}"));
    }
    let when = get("when").map(|value| read_condition(key, value)).transpose()?;
    let domain = if let Some(choices) = get("choices") {
        let others = ["min", "max", "log", "step", "length"];
        if let Some(other) = others.into_iter().find(|name| get(name).is_some()) {
            return Err(format!("`{key}`: `choices` and `{other}` exclude each other"));
        }
        let list = choices.as_array().into_iter().flatten();
        if list.clone().any(|choice| choice.get_ref().is_table() || choice.get_ref().is_datetime()) {
            return Err(format!(
                "`{key}`: a choice must be a text, a number, true, false, or a list of these"
            ));
        }
        let choices: Vec<String> = values(choices);
        if choices.len() < 2 {
            return Err(format!("`{key}`: `choices` must be a list of at least two values"));
        }
        Domain::Choices(choices)
    } else {
        let range = number_range(key, &get)?;
        match get("length") {
            None => Domain::Number(range),
            Some(length) => Domain::List { length: length_range(key, length)?, each: range },
        }
    };
    Ok(Dimension { key: key.to_owned(), domain, when })
}

fn number_range<'t>(
    key: &str,
    get: &impl Fn(&str) -> Option<&'t DeValue<'t>>,
) -> Result<NumberRange, String> {
    let number = |name: &str| match get(name) {
        None => Ok(None),
        Some(value) => match shown(value).replace('_', "").parse::<f64>() {
            Ok(number) if number.is_finite() && !value.is_str() => Ok(Some(number)),
            _ => Err(format!("`{key}`: `{name}` = {} must be a number", shown(value))),
        },
    };
    let (Some(min), Some(max)) = (number("min")?, number("max")?) else {
        return Err(format!("`{key}`: give `choices`, or both `min` and `max`"));
    };
    if min >= max {
        return Err(format!("`{key}`: `min` = {min} must be below `max` = {max}"));
    }
    let log = match get("log") {
        None => false,
        Some(value) => value
            .as_bool()
            .ok_or_else(|| format!("`{key}`: `log` = {} must be true or false", shown(value)))?,
    };
    let step = number("step")?;
    if step.is_some_and(|step| step <= 0.0 || step > max - min) {
        return Err(format!("`{key}`: `step` must be above 0 and at most `max` - `min` = {}", max - min));
    }
    if log && (step.is_some() || min <= 0.0) {
        return Err(format!("`{key}`: `log = true` needs `min` above 0 and no `step`"));
    }
    let is_whole = |name: &str| get(name).is_none_or(DeValue::is_integer);
    let whole = ["min", "max", "step"].into_iter().all(is_whole) && takes_whole_numbers(key);
    Ok(NumberRange { min, max, log, step, whole })
}

/// Whether the key takes whole numbers: a rate does not, although its bounds may be written as 0 and 1.
fn takes_whole_numbers(key: &str) -> bool {
    match explain(key) {
        Ok(Explanation::Key(found)) => found.r#type.contains("whole") || found.r#type.contains("integer"),
        _ => false,
    }
}

fn length_range(key: &str, value: &DeValue<'_>) -> Result<[usize; 2], String> {
    let lengths: Vec<f64> = values(value).iter().filter_map(|text| text.parse().ok()).collect();
    match lengths[..] {
        [least, most]
            if least >= 1.0
                && least <= most
                && most <= LONGEST_LIST
                && least.fract() + most.fract() == 0.0 =>
        {
            Ok([least as usize, most as usize])
        }
        _ => Err(format!(
            "`{key}`: `length` = {} must be two whole numbers, the least and the greatest length, from 1 to {LONGEST_LIST}",
            shown(value)
        )),
    }
}

fn read_condition(key: &str, value: &DeValue<'_>) -> Result<Condition, String> {
    let wrong = || {
        format!(
            "`{key}`: `when` must name one other key and its values, such as `when = {{ optimizer.name = [\"sgd\"] }}`"
        )
    };
    let (mut path, mut value) = (String::new(), value);
    while let DeValue::Table(table) = value {
        let mut entries = table.iter();
        let (Some((name, inner)), None) = (entries.next(), entries.next()) else { return Err(wrong()) };
        path =
            if path.is_empty() { name.get_ref().to_string() } else { format!("{path}.{}", name.get_ref()) };
        value = inner.get_ref();
    }
    let found = if value.is_array() { values(value) } else { vec![toml_text(value)] };
    if path.is_empty() || found.is_empty() {
        Err(wrong())
    } else {
        Ok(Condition { key: path, values: found })
    }
}

/// The values of a list, as TOML; empty if `value` is not a list.
fn values(value: &DeValue<'_>) -> Vec<String> {
    value.as_array().into_iter().flatten().map(|value| toml_text(value.get_ref())).collect()
}
