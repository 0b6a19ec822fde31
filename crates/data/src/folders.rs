//! Where published data sets are kept on this machine.

use std::{env, path::PathBuf};

/// The folders that data is looked for in and downloaded to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folders {
    /// The user's own folder for data sets, from `KILN_DATA_DIR`; it goes before the cache.
    pub data_dir: Option<PathBuf>,
    /// The cache, made when something is downloaded to it.
    pub cache: PathBuf,
}

impl Folders {
    /// `KILN_DATA_DIR`, and `kiln` in the user's cache folder: `XDG_CACHE_HOME` or `~/.cache`,
    /// `~/Library/Caches` on macOS, `%LOCALAPPDATA%` on Windows.
    #[must_use]
    pub fn from_environment() -> Self {
        Self::from_variables(|name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from))
    }

    fn from_variables(variable: impl Fn(&str) -> Option<PathBuf>) -> Self {
        let home = || variable("HOME").or_else(|| variable("USERPROFILE"));
        let cache = variable("XDG_CACHE_HOME")
            // The XDG specification: a path that is not absolute is to be ignored.
            .filter(|path| path.is_absolute())
            .or_else(|| if cfg!(windows) { variable("LOCALAPPDATA") } else { None })
            .or_else(|| home().map(|home| home.join(cache_in_home())))
            .unwrap_or_else(env::temp_dir);
        Self { data_dir: variable("KILN_DATA_DIR"), cache: cache.join("kiln") }
    }
}

fn cache_in_home() -> &'static str {
    if cfg!(target_os = "macos") { "Library/Caches" } else { ".cache" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(variables: &'static [(&str, &str)]) -> Folders {
        Folders::from_variables(|name| {
            variables.iter().find(|(key, _)| *key == name).map(|(_, value)| PathBuf::from(value))
        })
    }

    #[test]
    fn the_cache_follows_the_xdg_folder_and_then_the_home_folder() {
        assert_eq!(with(&[("XDG_CACHE_HOME", "/x"), ("HOME", "/h")]).cache, PathBuf::from("/x/kiln"));
        let in_home = PathBuf::from("/h").join(cache_in_home()).join("kiln");
        assert_eq!(with(&[("XDG_CACHE_HOME", "relative"), ("HOME", "/h")]).cache, in_home);
        assert_eq!(with(&[]).cache, env::temp_dir().join("kiln"));
    }

    #[test]
    fn the_data_folder_is_the_one_that_the_environment_names() {
        assert_eq!(with(&[("KILN_DATA_DIR", "/d")]).data_dir, Some(PathBuf::from("/d")));
        assert_eq!(with(&[("HOME", "/h")]).data_dir, None);
    }
}
