//! What is sent and answered, as protocol buffers are written as JSON by MLflow: names as in the
//! schema, 64-bit integers as numbers, floats that are none as text, unknown names passed over.

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// One point of a metric.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Metric {
    /// Which metric.
    pub key: Option<String>,
    /// Its value.
    #[serde(with = "float", skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// When it was so, in milliseconds since 1970.
    #[serde(deserialize_with = "whole", skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<i64>,
    /// Of which step.
    #[serde(deserialize_with = "whole", skip_serializing_if = "Option::is_none")]
    pub step: Option<i64>,
    /// Of which model, besides.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_id: Option<String>,
    /// In which run it was measured; told, and not said.
    #[serde(skip_deserializing, skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
}

/// A parameter, or a tag of anything.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Pair {
    /// Which.
    pub key: Option<String>,
    /// Its value.
    pub value: Option<String>,
}

/// `runs/log-batch`.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(default)]
pub struct LogBatch {
    /// Of which run.
    pub run_id: Option<String>,
    /// Points, in any order.
    #[serde(deserialize_with = "list")]
    pub metrics: Vec<Metric>,
    /// Parameters, each once.
    #[serde(deserialize_with = "list")]
    pub params: Vec<Pair>,
    /// Tags; the last of a key is kept.
    #[serde(deserialize_with = "list")]
    pub tags: Vec<Pair>,
}

/// A list, for which `null` is an empty one.
///
/// # Errors
/// It is no list of these.
pub fn list<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Vec<T>, D::Error> {
    Option::<Vec<T>>::deserialize(from).map(Option::unwrap_or_default)
}

/// A 64-bit integer: as a number, with a point if it is whole, or as text.
///
/// # Errors
/// It is no integer, or none of 64 bits.
pub fn whole<'de, D: Deserializer<'de>>(from: D) -> Result<Option<i64>, D::Error> {
    struct Whole;

    impl Visitor<'_> for Whole {
        type Value = Option<i64>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a 64-bit integer")
        }

        fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_i64<E: Error>(self, number: i64) -> Result<Self::Value, E> {
            Ok(Some(number))
        }

        fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
            let number = i64::try_from(number);
            number.map(Some).map_err(|_| E::custom("a 64-bit integer was expected"))
        }

        #[expect(clippy::cast_possible_truncation, reason = "it is whole and in the range")]
        fn visit_f64<E: Error>(self, number: f64) -> Result<Self::Value, E> {
            // 2^63: the first float that is none of 64 bits.
            const END: f64 = 9_223_372_036_854_775_808.0;
            match number.fract() == 0.0 && (-END..END).contains(&number) {
                true => Ok(Some(number as i64)),
                false => Err(E::custom(format!("{number} is no 64-bit integer"))),
            }
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
            let number = text.parse();
            number.map(Some).map_err(|_| E::custom(format!("'{text}' is no 64-bit integer")))
        }
    }

    from.deserialize_any(Whole)
}

/// A float: as a number, or as text, which says `NaN` and `Infinity`, too.
pub mod float {
    use super::*;

    /// # Errors
    /// The writer's.
    pub fn serialize<S: Serializer>(value: &Option<f64>, to: S) -> Result<S::Ok, S::Error> {
        match value {
            None => to.serialize_none(),
            Some(value) if value.is_nan() => to.serialize_str("NaN"),
            Some(value) if value.is_infinite() && *value > 0.0 => to.serialize_str("Infinity"),
            Some(value) if value.is_infinite() => to.serialize_str("-Infinity"),
            Some(value) => to.serialize_f64(*value),
        }
    }

    /// # Errors
    /// It is no number.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<f64>, D::Error> {
        from.deserialize_any(Float)
    }

    struct Float;

    impl Visitor<'_> for Float {
        type Value = Option<f64>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a 64-bit floating point number")
        }

        fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_f64<E: Error>(self, number: f64) -> Result<Self::Value, E> {
            Ok(Some(number))
        }

        #[expect(clippy::cast_precision_loss, reason = "as JSON's readers round")]
        fn visit_i64<E: Error>(self, number: i64) -> Result<Self::Value, E> {
            Ok(Some(number as f64))
        }

        #[expect(clippy::cast_precision_loss, reason = "as JSON's readers round")]
        fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
            Ok(Some(number as f64))
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
            match text {
                "NaN" => Ok(Some(f64::NAN)),
                "Infinity" => Ok(Some(f64::INFINITY)),
                "-Infinity" => Ok(Some(f64::NEG_INFINITY)),
                _ => match text.parse::<f64>() {
                    Ok(number) if number.is_finite() => Ok(Some(number)),
                    _ => Err(E::custom(format!("'{text}' is no number"))),
                },
            }
        }
    }
}
