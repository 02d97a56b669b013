//! What an error means while mail is received: the one place that decides whether a delivery waits, and whether more
//! is asked.

use crate::ClientError;

/// What an error that came up on behalf of a delivery, or in a step of receiving, means for what follows.
///
/// None of them ends receiving. What cannot be judged is set aside; only a profile that cannot even take that does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// This device gets no answers at all now, or has no session any more: nothing more is asked in this run but for mail
    /// itself.
    NoAnswers,
    /// Too much was asked: no more questions of the same kind in this run.
    TooMuch,
    /// It may pass by itself, so it is tried again for as long as it takes.
    Passes,
    /// It was refused, which may change when somebody does something about it: tried again a few times.
    Refused,
    /// It is settled: nothing vouches for the delivery, and nothing will.
    Settled,
}

impl Meaning {
    /// What `error` means. `is_second` says that the second home spoke, which may not know everybody.
    pub(crate) fn of(error: &ClientError, is_second: bool) -> Self {
        match error {
            ClientError::Unreachable { .. } | ClientError::WrongServer { .. } => Self::NoAnswers,
            ClientError::Refused(problem) => Self::of_refusal(problem.status, is_second),
            // Nonsense from a server may be mended there; what is damaged or full here, here.
            ClientError::Protocol(_)
            | ClientError::KeyLog(_)
            | ClientError::Profile { .. }
            | ClientError::Locked
            | ClientError::WrongPassphrase
            | ClientError::ClockNotSet { .. }
            | ClientError::File { .. }
            | ClientError::NotAsked(_) => Self::Passes,
            // Keys that may not be used, and chains that are none, verify nothing.
            ClientError::KeysReset { .. }
            | ClientError::UntrustedKeys { may_change: false, .. }
            | ClientError::FingerprintDiffers { .. }
            | ClientError::BrokenGroup { .. }
            | ClientError::Unfit(_) => Self::Settled,
            // Keys that nobody vouches for today; else nothing that comes up while something is judged, and nothing
            // that another day would make right.
            ClientError::UntrustedKeys { may_change: true, .. }
            | ClientError::GroupRefused(_)
            | ClientError::UnknownMessage(_)
            | ClientError::NotPossible(_)
            | ClientError::KeyBackup(_)
            | ClientError::JoinedThrough(_)
            | ClientError::Linking(_)
            | ClientError::NotKept { .. }
            | ClientError::AmbiguousMessage
            | ClientError::UnknownFile(_)
            | ClientError::DamagedFile { .. }
            | ClientError::TooLong => Self::Refused,
        }
    }

    /// By status alone, so that a refusal this program has no name for, of a newer server or a made-up one, is one of
    /// these, too.
    fn of_refusal(status: u16, is_second: bool) -> Self {
        match status {
            401 => Self::NoAnswers,
            429 => Self::TooMuch,
            404 if !is_second => Self::Settled,
            404 | 408 | 500.. => Self::Passes,
            _ => Self::Refused,
        }
    }
}

#[cfg(test)]
mod tests {
    use momedo_protocol::problem::{PROBLEM_PREFIX, Problem};

    use super::*;

    fn refused(status: u16) -> ClientError {
        let kind = format!("{PROBLEM_PREFIX}whatever-it-is");
        let problem = Problem { kind, title: String::new(), status, detail: None, retry_after: None };
        ClientError::Refused(Box::new(problem))
    }

    #[test]
    fn keys_that_may_be_right_another_day_settle_nothing_and_forged_ones_do() {
        let id = momedo_protocol::id::ParticipantId::from_number(1).unwrap();
        let of = |error| Meaning::of(&error, false);
        let untrusted =
            |may_change| ClientError::UntrustedKeys { id, reason: "they are not".into(), may_change };
        assert_eq!(of(ClientError::KeyLog("it does not end".into())), Meaning::Passes);
        assert_eq!(of(untrusted(true)), Meaning::Refused);
        assert_eq!(of(untrusted(false)), Meaning::Settled);
    }

    #[test]
    fn every_status_means_something_and_none_ends_receiving() {
        for (status, meaning) in [
            (400, Meaning::Refused),
            (401, Meaning::NoAnswers),
            (403, Meaning::Refused),
            (404, Meaning::Settled),
            (408, Meaning::Passes),
            (409, Meaning::Refused),
            (429, Meaning::TooMuch),
            (500, Meaning::Passes),
            (503, Meaning::Passes),
            (507, Meaning::Passes),
            (999, Meaning::Passes),
        ] {
            assert_eq!(Meaning::of(&refused(status), false), meaning, "{status}");
        }
        // Who is not known at the second home may be known at the first.
        assert_eq!(Meaning::of(&refused(404), true), Meaning::Passes);
    }
}
