//! Values of settings without their types, for whatever treats all settings alike: pages, JSON, command line.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use super::ProxySetting;
use crate::domain::rate::Rate;

/// A value of some setting.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A number.
    Number(u64),
    /// Yes or no.
    YesOrNo(bool),
    /// A text.
    Text(String),
    /// A list of texts.
    List(Vec<String>),
    /// A rate.
    Rate(Rate),
    /// None, where there may be none.
    Nothing,
}

impl Value {
    /// The value as JSON.
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Number(number) => (*number).into(),
            Self::YesOrNo(yes) => (*yes).into(),
            Self::Text(text) => text.clone().into(),
            Self::List(texts) => texts.clone().into(),
            Self::Rate(rate) => serde_json::json!({ "per_minute": rate.per_minute, "burst": rate.burst }),
            Self::Nothing => serde_json::Value::Null,
        }
    }

    /// The value as momedo.toml holds it; empty for none.
    pub fn to_toml(&self) -> String {
        // A basic string of TOML escapes as JSON does.
        let quoted = |text: &String| serde_json::Value::from(text.clone()).to_string();
        match self {
            Self::Number(number) => number.to_string(),
            Self::YesOrNo(yes) => yes.to_string(),
            Self::Text(text) => quoted(text),
            Self::List(texts) => format!("[{}]", texts.iter().map(quoted).collect::<Vec<_>>().join(", ")),
            Self::Rate(Rate { per_minute, burst }) => {
                format!("{{ per_minute = {per_minute}, burst = {burst} }}")
            }
            Self::Nothing => String::new(),
        }
    }
}

/// A type that settings have.
pub trait Stored {
    /// The value, to be shown.
    fn value(&self) -> Value;
}

/// A type of settings that admins change while the server runs.
pub trait Changeable: Stored {
    /// What they change it by.
    type Rule: Plain;

    /// Takes what the rule says, so many units to one of the rule's.
    fn lay(&mut self, rule: &Self::Rule, units: u64);
}

/// A type that rules have.
pub trait Plain: Sized {
    /// The rule, to be shown.
    fn plain(&self) -> Value;
    /// The rule of a value; `None` if it is of another kind or does not fit.
    fn of(value: &Value) -> Option<Self>;
}

/// Types of numbers.
macro_rules! numbers {
    ($($type:ty),*) => { $(
        impl Stored for $type {
            fn value(&self) -> Value {
                Value::Number(u64::try_from(*self).unwrap_or(u64::MAX))
            }
        }

        impl Plain for $type {
            fn plain(&self) -> Value {
                self.value()
            }

            fn of(value: &Value) -> Option<Self> {
                let Value::Number(number) = value else { return None };
                Self::try_from(*number).ok()
            }
        }

        impl Changeable for $type {
            type Rule = u64;

            fn lay(&mut self, rule: &u64, units: u64) {
                *self = Self::try_from(rule.saturating_mul(units)).unwrap_or(Self::MAX);
            }
        }
    )* };
}

numbers!(u16, u32, u64, usize);

/// Types that a rule has as the setting has them.
macro_rules! alike {
    ($($type:ty => $variant:ident),*) => { $(
        impl Stored for $type {
            fn value(&self) -> Value {
                Value::$variant(self.clone())
            }
        }

        impl Plain for $type {
            fn plain(&self) -> Value {
                self.value()
            }

            fn of(value: &Value) -> Option<Self> {
                let Value::$variant(value) = value else { return None };
                Some(value.clone())
            }
        }

        impl Changeable for $type {
            type Rule = Self;

            fn lay(&mut self, rule: &Self, _: u64) {
                self.clone_from(rule);
            }
        }
    )* };
}

alike!(bool => YesOrNo, String => Text, Vec<String> => List);

impl Stored for Rate {
    fn value(&self) -> Value {
        Value::Rate(*self)
    }
}

impl Changeable for Rate {
    type Rule = u32;

    /// Twice as many at once.
    fn lay(&mut self, per_minute: &u32, _: u64) {
        *self = Self { per_minute: *per_minute, burst: per_minute.saturating_mul(2) };
    }
}

impl Stored for Vec<SocketAddr> {
    fn value(&self) -> Value {
        Value::List(self.iter().map(ToString::to_string).collect())
    }
}

impl Stored for Vec<IpAddr> {
    fn value(&self) -> Value {
        Value::List(self.iter().map(ToString::to_string).collect())
    }
}

impl Stored for Option<PathBuf> {
    fn value(&self) -> Value {
        self.as_ref().map_or(Value::Nothing, |path| Value::Text(path.display().to_string()))
    }
}

impl Stored for ProxySetting {
    /// Without its password.
    fn value(&self) -> Value {
        Value::Text(self.get().map(|proxy| proxy.to_string()).unwrap_or_default())
    }
}
