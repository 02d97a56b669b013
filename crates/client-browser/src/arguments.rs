//! What a command is given: the command line's words, without its profile and its way to print. What follows `--` is no
//! option, whatever it looks like: people write what they want.

use std::collections::VecDeque;
use std::str::FromStr;

use momedo_client::ClientError;

/// What ends the options.
const END_OF_OPTIONS: &str = "--";

/// Words of a command, taken one after another.
pub(crate) struct Arguments {
    words: VecDeque<String>,
    /// What follows the end of the options.
    plain: VecDeque<String>,
}

/// A command that was given the wrong words.
pub(crate) fn misuse(reason: impl ToString) -> ClientError {
    ClientError::NotPossible(reason.to_string())
}

fn not_understood(word: &str) -> ClientError {
    misuse(format!("{word:?} is not understood"))
}

fn read<T: FromStr<Err: ToString>>(text: &str) -> Result<T, ClientError> {
    text.parse().map_err(|error: T::Err| misuse(error.to_string()))
}

impl Arguments {
    pub(crate) fn new(words: Vec<String>) -> Self {
        let mut words: VecDeque<String> = words.into();
        let end = words.iter().position(|word| word == END_OF_OPTIONS);
        let mut plain = end.map(|end| words.split_off(end)).unwrap_or_default();
        plain.pop_front();
        Self { words, plain }
    }

    /// Takes `--name` out, wherever it is; whether it was there.
    pub(crate) fn flag(&mut self, name: &str) -> bool {
        let place = self.words.iter().position(|word| word == name);
        place.and_then(|place| self.words.remove(place)).is_some()
    }

    /// Takes `--name VALUE` or `--name=VALUE` out, wherever it is.
    pub(crate) fn text(&mut self, name: &str) -> Result<Option<String>, ClientError> {
        let value_of = |word: &str| word.strip_prefix(name)?.strip_prefix('=').map(str::to_owned);
        if let Some((place, value)) =
            self.words.iter().enumerate().find_map(|(place, word)| Some((place, value_of(word)?)))
        {
            self.words.remove(place);
            return Ok(Some(value));
        }
        let Some(place) = self.words.iter().position(|word| word == name) else { return Ok(None) };
        self.words.remove(place);
        self.words.remove(place).map(Some).ok_or_else(|| misuse(format!("{name} wants a value")))
    }

    /// The same for every time it is there.
    pub(crate) fn texts(&mut self, name: &str) -> Result<Vec<String>, ClientError> {
        let mut all = Vec::new();
        while let Some(text) = self.text(name)? {
            all.push(text);
        }
        Ok(all)
    }

    /// The same, read.
    pub(crate) fn values<T: FromStr<Err: ToString>>(&mut self, name: &str) -> Result<Vec<T>, ClientError> {
        self.texts(name)?.iter().map(|text| read(text)).collect()
    }

    /// Takes `--name VALUE` out and reads the value.
    pub(crate) fn value<T: FromStr<Err: ToString>>(&mut self, name: &str) -> Result<Option<T>, ClientError> {
        self.text(name)?.map(|text| read(&text)).transpose()
    }

    /// The same, and it has to be there.
    pub(crate) fn needed<T: FromStr<Err: ToString>>(&mut self, name: &str) -> Result<T, ClientError> {
        self.value(name)?.ok_or_else(|| misuse(format!("{name} is missing")))
    }

    /// The next word that is no option: those are taken out before.
    pub(crate) fn next(&mut self) -> Result<Option<String>, ClientError> {
        match self.words.pop_front() {
            Some(word) if word.starts_with("--") => Err(not_understood(&word)),
            Some(word) => Ok(Some(word)),
            None => Ok(self.plain.pop_front()),
        }
    }

    /// The next word, read.
    pub(crate) fn next_value<T: FromStr<Err: ToString>>(&mut self) -> Result<Option<T>, ClientError> {
        self.next()?.map(|word| read(&word)).transpose()
    }

    /// The same, and it has to be there.
    pub(crate) fn needed_next<T: FromStr<Err: ToString>>(&mut self, what: &str) -> Result<T, ClientError> {
        self.next_value()?.ok_or_else(|| misuse(format!("{what} is missing")))
    }

    /// Every word that is left, read.
    pub(crate) fn rest<T: FromStr<Err: ToString>>(&mut self) -> Result<Vec<T>, ClientError> {
        let mut all = Vec::new();
        while let Some(value) = self.next_value()? {
            all.push(value);
        }
        Ok(all)
    }

    /// The same, and there has to be one.
    pub(crate) fn needed_rest<T: FromStr<Err: ToString>>(
        &mut self,
        what: &str,
    ) -> Result<Vec<T>, ClientError> {
        let all = self.rest()?;
        if all.is_empty() { Err(misuse(format!("{what} is missing"))) } else { Ok(all) }
    }

    /// Nothing may be left.
    pub(crate) fn end(&mut self) -> Result<(), ClientError> {
        self.next()?.map_or(Ok(()), |word| Err(not_understood(&word)))
    }
}
