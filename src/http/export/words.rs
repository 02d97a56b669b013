//! What tables and columns are called for people, in both languages.

use momedo_texts::Language;

/// A table for people: German title and explanation, then English.
type Words = (&'static str, [(&'static str, &'static str); 2]);

const TABLES: &[Words] = &[
    ("people", [("Person", "Wie die Verwaltung Sie führt."), ("Person", "As the administration lists you.")]),
    (
        "participants",
        [("Teilnehmer", "Ihre ID und Ihr Anzeigename."), ("Participant", "Your ID and display name.")],
    ),
    (
        "class_members",
        [
            ("Klassen und Teams", "Listen der Verwaltung, auf denen Sie stehen."),
            ("Classes and teams", "Lists of the administration with you on them."),
        ],
    ),
    (
        "key_bundles",
        [
            (
                "Öffentliche Schlüssel",
                "Veröffentlicht und von Ihnen unterschrieben; an alle ausgegeben, die fragen.",
            ),
            ("Public keys", "Published and signed by you; given to everybody who asks."),
        ],
    ),
    (
        "key_log",
        [
            (
                "Verzeichnis der Schlüsselwechsel",
                "Wann Sie neue Schlüssel veröffentlicht haben, ohne ID und Namen. Es bleibt, damit niemand es \
                 umschreiben kann; beim Löschen wird vergessen, wessen Einträge es sind.",
            ),
            (
                "Log of key changes",
                "When you published new keys, without ID or name. It stays, so that nobody can rewrite it; erasing \
                 forgets whose entries they are.",
            ),
        ],
    ),
    (
        "key_log_subjects",
        [
            ("Ihr Zeichen im Verzeichnis", "Aus Ihrer ID berechnet; daran finden Kontakte Ihre Einträge."),
            ("Your sign in that log", "Computed from your ID; by it contacts find your entries."),
        ],
    ),
    (
        "mceliece_keys",
        [
            ("Große öffentliche Schlüssel", "Ihre McEliece-Schlüssel; die Bytes stehen im Ordner files."),
            ("Large public keys", "Your McEliece keys; the bytes are in the folder files."),
        ],
    ),
    (
        "device_lists",
        [
            ("Geräteliste", "Ihre Geräte, von Ihnen unterschrieben."),
            ("Device list", "Your devices, signed by you."),
        ],
    ),
    (
        "bodies",
        [
            (
                "Wartende Nachrichten",
                "Verschlüsselt; der Server kann sie nicht lesen. An Sie und von Ihnen; die Bytes stehen im Ordner files.",
            ),
            (
                "Waiting messages",
                "Encrypted; the server cannot read them. To you and from you; the bytes are in the folder files.",
            ),
        ],
    ),
    (
        "deliveries",
        [
            ("Zustellungen", "Welche Nachricht auf welches Ihrer Geräte wartet."),
            ("Deliveries", "Which message waits for which of your devices."),
        ],
    ),
    (
        "queues",
        [
            ("Warteschlangen", "Wie weit jedes Ihrer Geräte gelesen hat."),
            ("Queues", "How far each of your devices has read."),
        ],
    ),
    (
        "devices",
        [
            ("Geräte", "Was der Server von jedem Gerät weiß, auch von gesperrten."),
            ("Devices", "What the server knows of each device, also of revoked ones."),
        ],
    ),
    (
        "sender_bytes",
        [
            ("Wartendes", "Wie viele Bytes von Ihnen noch auf andere warten."),
            ("What waits", "How many bytes of yours wait for others."),
        ],
    ),
    (
        "receipts",
        [
            (
                "Quittungen",
                "Wer wem wann eine Nachricht geschickt hat, ohne Inhalt; nach einigen Monaten vergessen.",
            ),
            ("Receipts", "Who sent whom a message and when, without content; forgotten after some months."),
        ],
    ),
    (
        "reservations",
        [
            ("Begonnene Anmeldungen", "Enden nach zehn Minuten."),
            ("Registrations begun", "They end after ten minutes."),
        ],
    ),
    (
        "invites",
        [
            ("Einladungen", "Mit denen Sie eingeladen wurden; von Codes nur die Prüfsumme."),
            ("Invites", "With which you were invited; of codes only the digest."),
        ],
    ),
    (
        "imports",
        [
            ("Eingelesene Listen", "Aus welcher Klassenliste Sie stammen und was sie an Ihnen geändert hat."),
            ("Imported lists", "Which class list you came with, and what it changed about you."),
        ],
    ),
    (
        "key_backups",
        [
            (
                "Schlüsselsicherung",
                "Mit Ihrem Wiederherstellungscode verschlossen; der Server kann sie nicht öffnen.",
            ),
            ("Key backup", "Closed with your recovery code; the server cannot open it."),
        ],
    ),
    ("blocks", [("Blockierte", "Von wem Sie nichts annehmen."), ("Blocked", "From whom you take nothing.")]),
    (
        "reports",
        [
            ("Meldungen", "Was Sie der Betreuung gezeigt haben; nach 90 Tagen gelöscht."),
            ("Reports", "What you showed to the staff; erased after 90 days."),
        ],
    ),
    ("groups", [("Gruppen", "Gruppen, denen Sie angehören."), ("Groups", "Groups you belong to.")]),
    (
        "group_entries",
        [
            (
                "Einträge der Gruppen",
                "Von den Mitgliedern unterschrieben: wer dazugehört. Sie bleiben, solange es die Gruppe gibt.",
            ),
            (
                "Entries of groups",
                "Signed by the members: who belongs. They stay as long as the group is there.",
            ),
        ],
    ),
    (
        "group_members",
        [
            ("Mitgliedschaften", "Was in Ihren Gruppen über Sie steht."),
            ("Memberships", "What your groups say about you."),
        ],
    ),
    (
        "former_group_members",
        [
            ("Frühere Mitgliedschaften", "Gruppen, die Sie verlassen haben."),
            ("Former memberships", "Groups you left."),
        ],
    ),
    (
        "group_authors",
        [
            ("Änderungen an Gruppen", "Wie oft Sie welche Gruppe geändert haben."),
            ("Changes of groups", "How often you changed which group."),
        ],
    ),
    (
        "slots",
        [
            ("Schlüssel zu Gruppennachrichten", "Für Sie verschlüsselt; die Bytes stehen im Ordner files."),
            ("Keys to group messages", "Sealed to you; the bytes are in the folder files."),
        ],
    ),
    (
        "blobs",
        [
            ("Ihre Anhänge", "Von Ihnen hochgeladen, verschlüsselt; den Inhalt kennt der Server nicht."),
            ("Your attachments", "Uploaded by you, encrypted; the server does not know what is in them."),
        ],
    ),
    (
        "blob_totals",
        [
            ("Summe Ihrer Anhänge", "Wie viele es sind, und wie viel Platz sie brauchen."),
            ("Your attachments in all", "How many there are, and how much room they take."),
        ],
    ),
    (
        "blob_holds",
        [
            ("Anhänge für Ihre Geräte", "Was Ihre Geräte noch abholen können."),
            ("Attachments for your devices", "What your devices can still fetch."),
        ],
    ),
    (
        "outbox",
        [
            (
                "Unterwegs zu anderen Servern",
                "Was Sie gesendet haben und was dort noch nicht angekommen ist.",
            ),
            ("On its way to other servers", "What you sent and what has not arrived there yet."),
        ],
    ),
    (
        "outbox_bodies",
        [
            ("Gruppennachrichten unterwegs", "Einmal gespeichert für alle, die auf anderen Servern sind."),
            ("Group messages on their way", "Stored once for everybody on other servers."),
        ],
    ),
    (
        "posted_elsewhere",
        [
            (
                "In Gruppen anderer Server geschrieben",
                "Welche Nachricht in welche Gruppe ging; nichts anderes nimmt dieser Server von dort in Ihrem Namen an.",
            ),
            (
                "Posted to groups of other servers",
                "Which message went to which group; this server takes nothing else from there in your name.",
            ),
        ],
    ),
    (
        "second_homes",
        [
            ("Zweites Zuhause", "Der andere Server, der Ihre Post und Ihre Schlüssel auch hat."),
            ("Second home", "The other server that has your mail and your keys, too."),
        ],
    ),
    (
        "servers_told",
        [
            (
                "Andere Server",
                "Wem dieser Server Ihre öffentlichen Schlüssel mit Ihrem Namen gab. Sie löschen sie, wenn Sie hier gelöscht \
                 werden.",
            ),
            (
                "Other servers",
                "Whom this server gave your public keys with your name. They delete them when you are erased here.",
            ),
        ],
    ),
    (
        "forgotten_keys",
        [
            (
                "Vergessene Schlüssel",
                "Nach einer Wiederherstellung: welchen Stand Ihrer Schlüssel dieser Server hatte und nicht mehr hat.",
            ),
            (
                "Forgotten keys",
                "After a restore: which version of your keys this server had and has no more.",
            ),
        ],
    ),
    (
        "audit_log",
        [
            ("Protokoll der Verwaltung", "Was die Verwaltung mit Ihrem Eintrag gemacht hat."),
            ("Log of the administration", "What the administration did with your entry."),
        ],
    ),
];

/// Title and explanation of a table.
pub(crate) fn of(table: &'static str, language: Language) -> (&'static str, &'static str) {
    let words = TABLES.iter().find(|(name, _)| *name == table).map(|(_, words)| words);
    words.map_or((table, ""), |[german, english]| match language {
        Language::German => *german,
        Language::English => *english,
    })
}

const COLUMNS: &[(&str, &str, &str)] = &[
    ("accepted_at", "angenommen", "accepted"),
    ("account", "Konto", "account"),
    ("action", "Vorgang", "action"),
    ("at", "Zeit", "time"),
    ("before", "geändert", "changed"),
    ("blocked", "blockiert", "blocked"),
    ("bundle", "Bündel", "bundle"),
    ("class", "Klasse", "class"),
    ("closed_at", "erledigt", "closed"),
    ("closed_by", "erledigt von", "closed by"),
    ("created_at", "angelegt", "created"),
    ("device", "Gerät", "device"),
    ("digest", "Prüfsumme", "digest"),
    ("envelope", "Datei", "file"),
    ("expires_at", "gültig bis", "expires"),
    ("external_key", "Kennung", "key"),
    ("fetched_at", "abgeholt", "fetched"),
    ("family_name", "Nachname", "family name"),
    ("file_name", "Dateiname", "file name"),
    ("folded_name", "Name zum Suchen", "name for searching"),
    ("id", "Nummer", "number"),
    ("key", "Datei", "file"),
    ("list", "Liste", "list"),
    ("login_key", "Anmeldeschlüssel", "log-in key"),
    ("made_at", "Zeit", "time"),
    ("message", "Nachricht", "message"),
    ("message_id", "Nachrichtenkennung", "message ID"),
    ("missed", "verpasst", "missed"),
    ("name", "Name", "name"),
    ("other", "anderer Server", "other server"),
    ("participant", "ID", "ID"),
    ("reason", "Grund", "reason"),
    ("recipient", "Empfänger", "recipient"),
    ("reported_at", "gemeldet", "reported"),
    ("reporter", "gemeldet von", "reported by"),
    ("role", "Rolle", "role"),
    ("sender", "Absender", "sender"),
    ("server", "Server", "server"),
    ("since", "seit", "since"),
    ("size", "Bytes", "bytes"),
    ("slot", "Datei", "file"),
    ("sort_key", "Name zum Sortieren", "name for sorting"),
    ("state", "Zustand", "state"),
    ("stored_at", "gespeichert", "stored"),
    ("subject", "Betrifft", "subject"),
    ("told_at", "Zeit", "time"),
    ("version", "Fassung", "version"),
];

/// What a column is called; technical ones keep their name.
pub(crate) fn column(name: &str, language: Language) -> &'static str {
    let known = COLUMNS.iter().find(|(column, ..)| *column == name);
    match (known, language) {
        (Some((_, german, _)), Language::German) => german,
        (Some((_, _, english)), Language::English) => english,
        (None, _) => crate::store::personal::tables()
            .flat_map(|table| table.columns)
            .map(|(column, _)| *column)
            .find(|column| *column == name)
            .unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::personal::{Holds, tables};

    #[test]
    fn every_personal_table_has_words_for_people_and_no_other() {
        let personal = tables().filter(|table| matches!(table.holds, Holds::Personal { .. }));
        let mut personal: Vec<_> = personal.map(|table| table.name).collect();
        let mut worded: Vec<_> = TABLES.iter().map(|(name, _)| *name).collect();
        personal.sort_unstable();
        worded.sort_unstable();
        assert_eq!(
            personal, worded,
            "give a new personal table its words in src/http/export/words.rs, in German and English"
        );
    }
}
