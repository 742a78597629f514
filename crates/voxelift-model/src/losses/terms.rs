//! What each loss term came to at a step.

use serde::ser::{Serialize, SerializeMap, Serializer};

/// Named values in the order in which they were recorded; serialised as one object.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LossTerms {
    values: Vec<(&'static str, f64)>,
}

impl LossTerms {
    /// Records a term.
    ///
    /// # Panics
    ///
    /// If the term is there already.
    pub fn record(&mut self, name: &'static str, value: f64) {
        assert!(
            self.get(name).is_none(),
            "{name} was recorded twice: {:?} and {value}",
            self.get(name)
        );
        self.values.push((name, value));
    }

    /// The value of a term.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.values
            .iter()
            .find(|(own, _)| *own == name)
            .map(|(_, value)| *value)
    }

    /// All terms, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, f64)> + '_ {
        self.values.iter().copied()
    }

    /// The first term that is not a finite number.
    pub fn not_finite(&self) -> Option<&'static str> {
        self.values
            .iter()
            .find(|(_, value)| !value.is_finite())
            .map(|(name, _)| *name)
    }
}

impl Serialize for LossTerms {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.values.len()))?;
        for (name, value) in &self.values {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}
