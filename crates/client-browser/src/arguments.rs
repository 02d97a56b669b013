//! What a command is given: the command line's words, without its profile and its way to print.

use std::collections::VecDeque;
use std::str::FromStr;

use momedo_client::ClientError;

/// Words of a command, taken one after another.
pub(crate) struct Arguments(VecDeque<String>);

/// A command that was given the wrong words.
pub(crate) fn misuse(reason: impl ToString) -> ClientError {
    ClientError::NotPossible(reason.to_string())
}

impl Arguments {
    pub(crate) fn new(words: Vec<String>) -> Self {
        Self(words.into())
    }

    /// Takes `--name` out, wherever it is; whether it was there.
    pub(crate) fn flag(&mut self, name: &str) -> bool {
        let place = self.0.iter().position(|word| word == name);
        place.and_then(|place| self.0.remove(place)).is_some()
    }

    /// Takes `--name VALUE` out, wherever it is.
    pub(crate) fn text(&mut self, name: &str) -> Result<Option<String>, ClientError> {
        let Some(place) = self.0.iter().position(|word| word == name) else { return Ok(None) };
        self.0.remove(place);
        self.0.remove(place).map(Some).ok_or_else(|| misuse(format!("{name} wants a value")))
    }

    /// The same for every time it is there.
    pub(crate) fn texts(&mut self, name: &str) -> Result<Vec<String>, ClientError> {
        let mut all = Vec::new();
        while let Some(text) = self.text(name)? {
            all.push(text);
        }
        Ok(all)
    }

    /// Takes `--name VALUE` out and reads the value.
    pub(crate) fn value<T: FromStr<Err: ToString>>(&mut self, name: &str) -> Result<Option<T>, ClientError> {
        let text = self.text(name)?;
        text.map(|text| text.parse().map_err(|error: T::Err| misuse(error.to_string()))).transpose()
    }

    /// The same, and it has to be there.
    pub(crate) fn needed<T: FromStr<Err: ToString>>(&mut self, name: &str) -> Result<T, ClientError> {
        self.value(name)?.ok_or_else(|| misuse(format!("{name} is missing")))
    }

    /// The next word that is no option.
    pub(crate) fn next(&mut self) -> Option<String> {
        self.0.pop_front()
    }

    /// Nothing may be left.
    pub(crate) fn end(&self) -> Result<(), ClientError> {
        self.0.front().map_or(Ok(()), |word| Err(misuse(format!("{word:?} is not understood"))))
    }
}
