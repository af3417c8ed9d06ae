//! How a dataset, a version of it and a path in it are named: `claims`, `claims@v3`,
//! `claims@gold:raw/a.csv`.

use crate::failure::Failure;
use std::fmt;
use std::str::FromStr;
use weft_types::DatasetName;

/// What a word names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Named {
    /// The dataset.
    pub(super) dataset: String,
    /// The version, as it was written; none: as it is now.
    pub(super) at: Option<String>,
    /// What stands behind the colon; none: there is no colon.
    pub(super) path: Option<String>,
}

impl FromStr for Named {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (whole, path) = match text.split_once(':') {
            Some((whole, path)) => (whole, Some(path.to_owned())),
            None => (text, None),
        };
        let (dataset, at) = match whole.split_once('@') {
            Some((dataset, at)) => (dataset, Some(at.to_owned())),
            None => (whole, None),
        };
        DatasetName::new(dataset.to_owned()).map_err(|e| {
            let folder = dataset.contains(['/', '.']);
            let hint = if folder { "; is it a folder, and the dataset missing?" } else { "" };
            format!("`{dataset}` is no dataset's name: {e}{hint}")
        })?;
        if at.as_deref() == Some("") {
            return Err(format!("write the version behind the @, as in `{dataset}@v1`"));
        }
        Ok(Self { dataset: dataset.to_owned(), at, path })
    }
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.dataset)?;
        if let Some(at) = &self.at {
            write!(f, "@{at}")?;
        }
        Ok(())
    }
}

impl Named {
    /// The path, empty where there is none.
    pub(super) fn prefix(&self) -> &str {
        self.path.as_deref().unwrap_or("")
    }

    /// Refuses a version, where what is now is meant.
    pub(super) fn now(&self, to: &str) -> Result<(), Failure> {
        match &self.at {
            None => Ok(()),
            Some(at) => Err(Failure::usage(format!("nothing is {to} a version, and @{at} is one"))
                .hint(format!("leave it out: `{}`", self.dataset))),
        }
    }

    /// Refuses a path, where all of it is meant.
    pub(super) fn whole(&self, what: &str) -> Result<(), Failure> {
        match &self.path {
            None => Ok(()),
            Some(path) => {
                Err(Failure::usage(format!("{what} is of a whole dataset, not of a path"))
                    .hint(format!("leave `:{path}` out")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<(String, Option<String>, Option<String>)> {
        text.parse::<Named>().ok().map(|named| (named.dataset, named.at, named.path))
    }

    #[test]
    fn datasets_versions_and_paths() {
        let named = |a: &str, b: Option<&str>, c: Option<&str>| {
            Some((a.to_owned(), b.map(str::to_owned), c.map(str::to_owned)))
        };
        assert_eq!(read("claims"), named("claims", None, None));
        assert_eq!(read("claims@v3"), named("claims", Some("v3"), None));
        assert_eq!(read("claims:raw/a.csv"), named("claims", None, Some("raw/a.csv")));
        assert_eq!(read("claims@gold:"), named("claims", Some("gold"), Some("")));
        assert_eq!(read("claims:a@b:c"), named("claims", None, Some("a@b:c")));
        for bad in ["", "./claims", "Claims", "claims@", "@v1", ":x", "a/b"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
