//! How much may be asked of the server in one run of receiving, on behalf of what arrived: bounded, so that nobody's mail
//! uses up what this device may ask, and one that is overloaded is left alone.

use std::collections::{HashMap, HashSet};

use momedo_protocol::group::GroupId;
use momedo_protocol::id::ParticipantId;

use crate::ClientError;
use crate::meaning::Meaning;

/// Questions in one run that led to nothing, for what one sender sent.
const FOR_ONE_SENDER: usize = 4;

/// Questions in one run that led to nothing, for all senders: fewer than a server passes on to its neighbours for one
/// participant at once, so that the person's own are answered, too.
const FOR_ALL: usize = 40;

/// What a question is about. Of each kind no more are asked in a run once the server says that they were too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// Somebody's keys.
    Keys,
    /// A group's chain.
    Group,
    /// The log of key changes.
    Log,
}

/// What was asked in one run of receiving, and what came of it.
#[derive(Debug, Default)]
pub(crate) struct Questions {
    /// Why nothing more is asked.
    silence: Option<String>,
    /// Why nothing more of a kind is asked.
    too_much: HashMap<Kind, String>,
    /// Groups that the server says it does not keep.
    pub(crate) unknown_groups: HashSet<GroupId>,
    in_vain: HashMap<ParticipantId, usize>,
    in_vain_for_all: usize,
}

impl Questions {
    /// Whether the server answers at all, as far as this run has heard.
    pub(crate) fn are_answered(&self) -> bool {
        self.silence.is_none()
    }

    /// Why nothing more is asked, if that is so.
    pub(crate) fn silence(&self) -> Option<String> {
        self.silence.clone()
    }

    /// Whether a question may be asked for what `sender` sent.
    ///
    /// # Errors
    /// [`ClientError::NotAsked`] with the reason.
    pub(crate) fn may_ask(&self, sender: ParticipantId, kind: Kind) -> Result<(), ClientError> {
        if let Some(reason) = self.silence.as_ref().or_else(|| self.too_much.get(&kind)) {
            return Err(ClientError::NotAsked(reason.clone()));
        }
        let of_sender = self.in_vain.get(&sender).copied().unwrap_or_default();
        if of_sender >= FOR_ONE_SENDER || self.in_vain_for_all >= FOR_ALL {
            return Err(ClientError::NotAsked("much of this sender cannot be judged at once".into()));
        }
        Ok(())
    }

    /// Counts a question that led to nothing.
    pub(crate) fn was_in_vain(&mut self, sender: ParticipantId) {
        *self.in_vain.entry(sender).or_default() += 1;
        self.in_vain_for_all += 1;
    }

    /// Hears why a question was not answered.
    pub(crate) fn failed(&mut self, sender: ParticipantId, kind: Kind, error: &ClientError) {
        self.was_in_vain(sender);
        self.hear(kind, error);
    }

    /// Hears an error of a step that is about no delivery.
    pub(crate) fn hear_of_step(&mut self, error: &ClientError) {
        if Meaning::of(error, false) == Meaning::NoAnswers {
            self.silence.get_or_insert_with(|| error.to_string());
        }
    }

    /// Hears an error that is on nobody's behalf; false when no more of this kind should be asked.
    pub(crate) fn hear(&mut self, kind: Kind, error: &ClientError) -> bool {
        match Meaning::of(error, false) {
            Meaning::NoAnswers => drop(self.silence.get_or_insert_with(|| error.to_string())),
            Meaning::TooMuch => drop(self.too_much.insert(kind, error.to_string())),
            Meaning::Passes | Meaning::Refused | Meaning::Settled => return true,
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn somebody(number: u64) -> ParticipantId {
        ParticipantId::from_number(number).unwrap()
    }

    #[test]
    fn who_asks_in_vain_uses_up_nobody_elses_questions() {
        let mut questions = Questions::default();
        for _ in 0..FOR_ONE_SENDER {
            questions.may_ask(somebody(1), Kind::Keys).unwrap();
            questions.was_in_vain(somebody(1));
        }
        for kind in [Kind::Keys, Kind::Group, Kind::Log] {
            assert!(matches!(questions.may_ask(somebody(1), kind), Err(ClientError::NotAsked(_))));
            questions.may_ask(somebody(2), kind).unwrap();
        }
    }

    #[test]
    fn a_rate_ends_one_kind_of_question_and_a_broken_line_all() {
        let mut questions = Questions::default();
        let kind = "urn:momedo:problem:too-often".to_owned();
        let problem = momedo_protocol::problem::Problem {
            kind,
            title: "t".into(),
            status: 429,
            detail: None,
            retry_after: None,
        };
        questions.failed(somebody(1), Kind::Group, &ClientError::Refused(Box::new(problem)));
        assert!(questions.may_ask(somebody(2), Kind::Group).is_err());
        questions.may_ask(somebody(2), Kind::Keys).unwrap();
        assert!(questions.are_answered());
        questions.failed(somebody(1), Kind::Keys, &ClientError::cut());
        assert!(questions.may_ask(somebody(2), Kind::Keys).is_err());
        assert!(!questions.are_answered());
    }
}
