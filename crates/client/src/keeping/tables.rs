//! Every table there is, exactly as `migrations/*.sql` leave them: profiles that SQLite keeps stay what they are.
//!
//! A table that is added gets a number that none ever had. What changes of a table is a step of SQLite's migrations and of
//! [`super::Pages`], and [`VERSION`] goes up.

use super::table::{Column, Index, Table};

/// The version of the schema.
pub(crate) const VERSION: u32 = 8;

/// Writes a table's module: `TABLE`, its columns and its indexes.
macro_rules! table {
    ($(#[$about:meta])* $number:literal $name:ident [$($key:ident)+] [$($value:ident)*]) => {
        table! { $(#[$about])* $number $name false [$($key)+] [$($value)*] heavy [] }
    };
    ($(#[$about:meta])* $number:literal $name:ident [$($key:ident)+] [$($value:ident)*] heavy [$($heavy:ident)*]
     $($index:ident $is_unique:literal [$($by:ident)*])*) => {
        table! { $(#[$about])* $number $name false [$($key)+] [$($value)*] heavy [$($heavy)*]
                 $($index $is_unique [$($by)*])* }
    };
    ($(#[$about:meta])* $number:literal $name:ident numbered [$key:ident] [$($value:ident)*] heavy [$($heavy:ident)*]
     $($index:ident $is_unique:literal [$($by:ident)*])*) => {
        table! { $(#[$about])* $number $name true [$key] [$($value)*] heavy [$($heavy)*]
                 $($index $is_unique [$($by)*])* }
    };
    ($(#[$about:meta])* $number:literal $name:ident $is_numbered:literal [$($key:ident)+] [$($value:ident)*]
     heavy [$($heavy:ident)*] $($index:ident $is_unique:literal [$($by:ident)*])*) => {
        $(#[$about])*
        #[allow(dead_code)]
        pub(crate) mod $name {
            use super::{Column, Table};

            /// Where each column stands.
            #[allow(non_camel_case_types, clippy::upper_case_acronyms)]
            enum Place { $($key,)+ $($value),* }

            $(pub(crate) const $key: Column = Column::at(Place::$key as u8);)+
            $(pub(crate) const $value: Column = Column::at(Place::$value as u8);)*
            $(pub(crate) static $index: super::Index =
                super::Index { name: stringify!($index), columns: &[$($by),*], is_unique: $is_unique };)*
            pub(crate) static TABLE: Table = Table {
                number: $number,
                name: stringify!($name),
                columns: &[$(stringify!($key),)+ $(stringify!($value)),*],
                key: [$(Place::$key as u8),+].len() as u8,
                is_numbered: $is_numbered,
                heavy: &[$($heavy),*],
                indexes: &[$(&$index),*],
            };
        }
    };
}

table! {
    /// What is set, as JSON.
    1 settings [NAME] [VALUE]
}
table! {
    /// Keys, sealed when there is a passphrase.
    2 secrets [NAME] [VALUE] heavy [VALUE]
}
table! {
    /// Whose keys are remembered.
    3 contacts [ID] [TRUST BUNDLE EARLIER_KEYS RESET] heavy [BUNDLE EARLIER_KEYS RESET]
}
table! {
    /// McEliece keys that were fetched.
    4 mceliece_keys [DIGEST] [KEY] heavy [KEY]
}
table! {
    /// Submissions that were not answered.
    5 outbox [ID] [REQUEST] heavy [REQUEST]
}
table! {
    /// Messages that were taken; the event of those that were not shown.
    6 inbox [SENDER ID] [EVENT TRIES] heavy [EVENT]
}
table! {
    /// Groups as far as their chains were read.
    7 groups [ID] [STATE MEMBERS GONE] heavy [STATE MEMBERS]
}
table! {
    /// Entries of groups' chains.
    8 group_entries [GROUP_ID NUMBER] [DIGEST ENTRY] heavy [ENTRY]
}
table! {
    /// What chains say of their keys.
    9 group_epochs [GROUP_ID EPOCH] [COMMITMENT]
}
table! {
    /// Group keys that no chain confirms.
    10 unconfirmed_group_keys numbered [ID] [GROUP_DIGEST EPOCH SENDER KEPT_AT KEY] heavy [KEY]
}
table! {
    /// Messages that live on.
    11 messages [SENDER ID] [CONVERSATION KIND BODY AUDIENCE WITHDRAWN] heavy [BODY AUDIENCE]
    MESSAGES_BY_ID false [ID]
}
table! {
    /// What people said about messages.
    12 marks [SENDER ID WHO MARK] [VALUE AT]
}
table! {
    /// Receipts that somebody should get.
    13 due_receipts [SENDER ID] [GROUP_DIGEST STATE]
}
table! {
    /// Received messages as they were signed.
    14 signed_messages [SENDER ID] [RECEIVED_AT MESSAGE] heavy [MESSAGE]
}
table! {
    /// Files that came or went.
    15 files [BLOB SENDER] [MESSAGE NAME MEDIA_TYPE SIZE SENT_AT SAVED]
}
table! {
    /// Which messages a file came along with.
    16 file_messages [BLOB SENDER MESSAGE] []
}
table! {
    /// Files that the server need not keep.
    17 due_releases [BLOB] [ERASES]
}
table! {
    /// Logs of key changes.
    18 server_logs [SERVER NUMBER] [SUBJECT VERSION DIGEST MADE_AT HASH] heavy []
    SERVER_LOGS_BY_SUBJECT false [SERVER SUBJECT NUMBER]
}
table! {
    /// What was seen of logs that began anew.
    19 server_logs_past [SERVER NUMBER HASH] []
}
table! {
    /// Who is who in logs.
    20 server_log_subjects [SERVER ID] [SUBJECT]
}
table! {
    /// What was wrong with logs.
    21 key_log_alarms [ABOUT] [AT WORDS BEFORE AFTER]
}
table! {
    /// Whose keys are looked for in which log.
    22 log_homes [SERVER HOME] [NUMBER]
}
table! {
    /// Whose devices are watched in which log.
    23 log_watches [SERVER SUBJECT] [ID SINCE]
}
table! {
    /// Submissions of which is not known what became of them.
    24 unconfirmed [ID RECIPIENT] [REQUEST ACCEPTED_AT DUE] heavy [REQUEST]
}
table! {
    /// What arrived and cannot be judged yet.
    25 set_aside numbered [ID] [SENDER CONVERSATION DIGEST SEALED_TO DELIVERY REASON REFUSALS TRIES DUE TOLD]
    heavy [DELIVERY]
    SET_ASIDE_BY_DUE false [DUE]
    SET_ASIDE_BY_CONVERSATION false [CONVERSATION]
    SET_ASIDE_BY_SENDER true [SENDER DIGEST]
}
table! {
    /// How own messages begin.
    26 beginnings [ID] [KEPT_AT WORDS]
}

/// All of them.
#[cfg(feature = "sqlite")]
#[cfg(test)]
pub(crate) static ALL: [&Table; 26] = [
    &settings::TABLE,
    &secrets::TABLE,
    &contacts::TABLE,
    &mceliece_keys::TABLE,
    &outbox::TABLE,
    &inbox::TABLE,
    &groups::TABLE,
    &group_entries::TABLE,
    &group_epochs::TABLE,
    &unconfirmed_group_keys::TABLE,
    &messages::TABLE,
    &marks::TABLE,
    &due_receipts::TABLE,
    &signed_messages::TABLE,
    &files::TABLE,
    &file_messages::TABLE,
    &due_releases::TABLE,
    &server_logs::TABLE,
    &server_logs_past::TABLE,
    &server_log_subjects::TABLE,
    &key_log_alarms::TABLE,
    &log_homes::TABLE,
    &log_watches::TABLE,
    &unconfirmed::TABLE,
    &set_aside::TABLE,
    &beginnings::TABLE,
];
