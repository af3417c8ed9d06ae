//! What can be searched, and which words it has.

/// What the value of an attribute is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Text, compared with `=`, `!=`, `LIKE` and `ILIKE`.
    Text,
    /// Text that is compared with a list, too.
    Listed,
    /// A number: milliseconds since 1970.
    Number,
}

/// What a clause or an order is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Field {
    /// An attribute of what is searched, by its proper name.
    Attribute(&'static str, Kind),
    /// The latest value of a metric.
    Metric(String),
    /// A parameter.
    Param(String),
    /// A tag.
    Tag(String),
    /// Of any dataset that a run read: `name`, `digest` or `context`.
    Dataset(&'static str),
}

/// What can be searched: its words for itself.
#[derive(Debug)]
pub struct Searched {
    /// In messages: `runs`.
    pub(crate) what: &'static str,
    /// Attributes: the word, the attribute's proper name, and what its value is.
    pub(crate) attributes: &'static [(&'static str, &'static str, Kind)],
    /// Words for an attribute before its name.
    pub(crate) attribute_words: &'static [&'static str],
    /// Whether it has metrics, parameters and datasets; all have tags.
    pub(crate) has_data: bool,
}

/// Runs.
pub const RUNS: Searched = Searched {
    what: "runs",
    attributes: &[
        ("run_id", "run_id", Kind::Listed),
        ("run_name", "run_name", Kind::Text),
        ("run name", "run_name", Kind::Text),
        ("Run name", "run_name", Kind::Text),
        ("Run Name", "run_name", Kind::Text),
        ("status", "status", Kind::Text),
        ("user_id", "user_id", Kind::Text),
        ("artifact_uri", "artifact_uri", Kind::Text),
        ("start_time", "start_time", Kind::Number),
        ("created", "start_time", Kind::Number),
        ("Created", "start_time", Kind::Number),
        ("end_time", "end_time", Kind::Number),
    ],
    attribute_words: &["attribute", "attributes", "attr", "run"],
    has_data: true,
};

/// Experiments.
pub const EXPERIMENTS: Searched = Searched {
    what: "experiments",
    attributes: &[
        ("name", "name", Kind::Text),
        ("experiment_id", "experiment_id", Kind::Listed),
        ("creation_time", "creation_time", Kind::Number),
        ("last_update_time", "last_update_time", Kind::Number),
    ],
    attribute_words: &["attribute"],
    has_data: false,
};

/// Logged models.
pub const MODELS: Searched = Searched {
    what: "models",
    attributes: &[
        ("name", "name", Kind::Listed),
        ("model_id", "model_id", Kind::Listed),
        ("model_type", "model_type", Kind::Listed),
        ("status", "status", Kind::Listed),
        ("source_run_id", "source_run_id", Kind::Listed),
        ("creation_timestamp", "creation_timestamp", Kind::Number),
        ("creation_time", "creation_timestamp", Kind::Number),
        ("creation_timestamp_ms", "creation_timestamp", Kind::Number),
        ("last_updated_timestamp", "last_updated_timestamp", Kind::Number),
        ("last_updated_time", "last_updated_timestamp", Kind::Number),
        ("last_updated_timestamp_ms", "last_updated_timestamp", Kind::Number),
    ],
    attribute_words: &["attributes"],
    has_data: true,
};

/// What is known of a dataset that a run read.
const DATASETS: [&str; 3] = ["name", "digest", "context"];

impl Searched {
    /// The field of this name: with the word before its key, if there was one.
    ///
    /// # Errors
    /// What is wrong with it, as the end of a sentence.
    pub(crate) fn field(&self, entity: Option<&str>, key: &str) -> Result<Field, String> {
        let Some(entity) = entity else { return self.attribute(key) };
        match entity {
            "tag" | "tags" => Ok(Field::Tag(key.to_owned())),
            "metric" | "metrics" if self.has_data => Ok(Field::Metric(key.to_owned())),
            "param" | "params" | "parameter" | "parameters" if self.has_data => {
                Ok(Field::Param(key.to_owned()))
            }
            "dataset" | "datasets" if self.has_data => {
                let known = DATASETS.into_iter().find(|name| *name == key);
                known.map(Field::Dataset).ok_or_else(|| {
                    format!("a dataset has no '{key}'; it has {}", DATASETS.join(", "))
                })
            }
            word if self.attribute_words.contains(&word) => self.attribute(key),
            other => Err(format!(
                "Invalid entity type '{other}': {} have {}",
                self.what,
                if self.has_data {
                    "metrics.…, params.…, tags.…, attributes.… and datasets.…"
                } else {
                    "tags.… and attribute.…"
                }
            )),
        }
    }

    fn attribute(&self, key: &str) -> Result<Field, String> {
        let found = self.attributes.iter().find(|(word, ..)| *word == key);
        found.map(|(_, name, kind)| Field::Attribute(name, *kind)).ok_or_else(|| {
            let known: Vec<_> =
                self.attributes.iter().filter(|a| a.0 == a.1).map(|a| a.0).collect();
            format!(
                "Invalid attribute key '{key}' specified: {} have {}",
                self.what,
                known.join(", ")
            )
        })
    }
}

/// One of what is searched, as filters and orders see it.
pub trait Entry {
    /// A text attribute, by its proper name; none where it has no value.
    fn text(&self, attribute: &str) -> Option<&str>;

    /// A number attribute, in milliseconds since 1970.
    fn number(&self, attribute: &str) -> Option<i64>;

    /// The latest value of a metric.
    fn metric(&self, key: &str) -> Option<f64>;

    /// A parameter.
    fn param(&self, key: &str) -> Option<&str>;

    /// A tag.
    fn tag(&self, key: &str) -> Option<&str>;

    /// Whether any dataset that it read has such a `name`, `digest` or `context`.
    fn any_dataset(&self, field: &str, test: &mut dyn FnMut(&str) -> bool) -> bool;
}
