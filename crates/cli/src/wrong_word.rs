//! What was meant by a word that the command line does not know.

use clap::error::{ContextKind, ContextValue, ErrorKind};

/// Words of other programs, and Kiln's for the same.
const COMMANDS: [(&[&str], &str); 8] = [
    (&["list", "ls", "runs-list"], "kiln runs list"),
    (&["show", "info"], "kiln runs show"),
    (&["compare", "diff"], "kiln runs compare"),
    (&["delete", "rm", "remove"], "kiln runs delete"),
    (&["test", "eval", "validate", "score"], "kiln evaluate"),
    (&["version"], "kiln --version"),
    (&["init", "create"], "kiln new"),
    (&["fit", "run", "start"], "kiln train"),
];

/// A better tip than clap's own for `error`, where there is one.
pub(crate) fn tip(error: &clap::Error) -> Option<String> {
    let word = |kind| match error.get(kind)? {
        ContextValue::String(word) => Some(word.as_str()),
        _ => None,
    };
    match error.kind() {
        ErrorKind::InvalidSubcommand => {
            let word = word(ContextKind::InvalidSubcommand)?;
            let (_, meant) = COMMANDS.iter().find(|(words, _)| words.contains(&word))?;
            Some(format!("`{word}` is no command of Kiln: `{meant}` does that"))
        }
        ErrorKind::UnknownArgument => {
            let word = word(ContextKind::InvalidArg)?;
            let name = word.trim_start_matches('-').split('=').next()?;
            Some(match name {
                "config" | "c" | "file" | "f" => {
                    format!("`{word}` is no option: the experiment file stands by itself, `kiln train FILE`")
                }
                _ => {
                    let key = key_like(name)?;
                    format!(
                        "`{word}` is no option: settings are written without dashes, as `{key}=VALUE` \
                         (`kiln config explain {key}`)"
                    )
                }
            })
        }
        _ => None,
    }
}

/// The key that is meant by `name`: whole, or its last part, where only one key ends so.
fn key_like(name: &str) -> Option<String> {
    let name = name.replace('-', "_");
    let keys = kiln_config::keys();
    if let Some(key) = keys.iter().find(|key| **key == name) {
        return Some((*key).to_owned());
    }
    let common = match name.as_str() {
        "learning_rate" => "lr",
        "batch" | "bs" => "batch_size",
        name => name,
    };
    let mut ending = keys.iter().filter(|key| key.rsplit('.').next() == Some(common));
    let key = ending.next()?;
    ending.next().is_none().then(|| (*key).to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::arguments::Arguments;

    fn tip_for(words: &[&str]) -> Option<String> {
        tip(&Arguments::try_parse_from([&["kiln"], words].concat()).unwrap_err())
    }

    #[test]
    fn words_of_other_programs_lead_to_kilns() {
        let tip = tip_for(&["train", "a.toml", "--epochs", "2"]).unwrap();
        assert!(tip.contains("without dashes, as `training.epochs=VALUE`"), "{tip}");
        assert!(tip_for(&["train", "--training.epochs=2"]).unwrap().contains("`training.epochs=VALUE`"));
        assert!(tip_for(&["train", "--learning-rate", "1"]).unwrap().contains("`optimizer.lr=VALUE`"));
        assert!(tip_for(&["train", "--config", "a.toml"]).unwrap().contains("`kiln train FILE`"));
        assert!(tip_for(&["ls"]).unwrap().contains("`kiln runs list`"));
        assert_eq!(tip_for(&["train", "--nonsense"]), None);
        assert_eq!(tip_for(&["nonsense"]), None);
    }
}
