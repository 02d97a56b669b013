//! What every refusal is called, its status, and its sentence in English and German.

use std::time::Duration;

use axum::http::StatusCode;

use crate::service::ServiceError;
use crate::service::error::Unasked;

pub(crate) struct Description {
    pub(crate) status: StatusCode,
    pub(crate) name: &'static str,
    pub(crate) english: String,
    pub(crate) german: String,
    pub(crate) detail: Option<String>,
    pub(crate) retry_after: Option<u64>,
}

fn plain(status: StatusCode, name: &'static str, english: &str, german: &str) -> Description {
    Description {
        status,
        name,
        english: english.into(),
        german: german.into(),
        detail: None,
        retry_after: None,
    }
}

impl Description {
    fn detail(mut self, detail: impl ToString) -> Self {
        self.detail = Some(detail.to_string());
        self
    }

    fn retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after.as_secs().max(1));
        self
    }
}

pub(crate) fn describe(error: &ServiceError) -> Description {
    use ServiceError as E;
    use StatusCode as S;
    match error {
        // Only the admin pages and the command line ask for these, and have words of their own.
        E::Admin(error) => plain(S::UNPROCESSABLE_ENTITY, error.word(), &error.to_string(), &error.to_string()),
        E::NotLoggedIn => plain(
            S::UNAUTHORIZED,
            "not-logged-in",
            "Please log in first; a session may have ended.",
            "Bitte zuerst anmelden; die Sitzung ist vielleicht abgelaufen.",
        ),
        E::LoginRefused => plain(
            S::FORBIDDEN,
            "login-refused",
            "The log-in was refused: start again with a new challenge and this device's own key.",
            "Die Anmeldung wurde abgelehnt: bitte mit neuer Anfrage und dem Schlüssel dieses Geräts wiederholen.",
        ),
        E::DeviceRevoked => plain(
            S::FORBIDDEN,
            "device-revoked",
            "This device was removed from its owner's list. Add it again from another device.",
            "Dieses Gerät wurde von der Geräteliste entfernt. Bitte von einem anderen Gerät aus neu hinzufügen.",
        ),
        E::Disabled => plain(
            S::FORBIDDEN,
            "participant-disabled",
            "An admin of this server has disabled this participant. Please ask there.",
            "Dieses Konto wurde von der Verwaltung gesperrt. Bitte dort nachfragen.",
        ),
        E::NotYours => plain(
            S::FORBIDDEN,
            "not-yours",
            "These keys or devices belong to somebody else.",
            "Diese Schlüssel oder Geräte gehören jemand anderem.",
        ),
        E::UnknownParticipant => plain(
            S::NOT_FOUND,
            "unknown-participant",
            "Nobody has this ID here. Please check it letter by letter.",
            "Diese ID gibt es hier nicht. Bitte Zeichen für Zeichen prüfen.",
        ),
        E::UnknownHere(Unasked::NotAllowed) => plain(
            S::FORBIDDEN,
            "not-allowed-across",
            "Nobody on this server has this ID, and you are not allowed to write to people of other servers. Please ask the admins.",
            "Auf diesem Server hat niemand diese ID, und Nachrichten an andere Server sind für dieses Konto nicht erlaubt. Bitte die Verwaltung fragen.",
        ),
        E::UnknownHere(Unasked::Paused) => plain(
            S::SERVICE_UNAVAILABLE,
            "unknown-here",
            "Nobody on this server has this ID, and another server that may know it is paused by its admins or yours.",
            "Auf diesem Server hat niemand diese ID, und mit einem anderen, der sie kennen könnte, hat die Verwaltung eine Pause gemacht.",
        )
        .retry_after(Duration::from_secs(300)),
        E::UnknownHere(Unasked::Unreachable) => plain(
            S::SERVICE_UNAVAILABLE,
            "unknown-here",
            "Nobody on this server has this ID, and another server that may know it cannot be reached now.",
            "Auf diesem Server hat niemand diese ID, und ein anderer, der sie kennen könnte, ist gerade nicht erreichbar.",
        )
        .retry_after(Duration::from_secs(60)),
        E::NotAllowedAcross => plain(
            S::FORBIDDEN,
            "not-allowed-across",
            "The admins have not allowed you to write to people of that server. Please ask them.",
            "Nachrichten an diesen Server hat die Verwaltung für dieses Konto nicht erlaubt. Bitte dort nachfragen.",
        ),
        E::FirstHomeOnly => plain(
            S::CONFLICT,
            "first-home-only",
            "This server stands in for the one you registered at; keys, devices and your account change only there.",
            "Dieser Server vertritt den, bei dem Sie angemeldet sind; Schlüssel, Geräte und Konto ändern Sie nur dort.",
        ),
        E::DisputedParticipant => plain(
            S::CONFLICT,
            "disputed-participant",
            "Two servers claim this ID, so nothing is sent there. The admins have been told.",
            "Zwei Server beanspruchen diese ID, deshalb wird nichts dorthin gesendet. Die Verwaltung weiß Bescheid.",
        ),
        E::HomeUnreachable => plain(
            S::SERVICE_UNAVAILABLE,
            "home-unreachable",
            "The other server that has to be asked cannot be reached now. It will be tried again.",
            "Der andere Server, der gefragt werden muss, ist gerade nicht erreichbar. Es wird wieder versucht.",
        )
        .retry_after(Duration::from_secs(5)),
        E::BlobOnItsWay => plain(
            S::SERVICE_UNAVAILABLE,
            "file-on-its-way",
            "The file is still on its way from another server. It will be there soon.",
            "Die Datei ist noch auf dem Weg von einem anderen Server. Sie wird bald da sein.",
        )
        .retry_after(Duration::from_secs(1)),
        E::UnknownKeyLog => plain(
            S::NOT_FOUND,
            "unknown-key-log",
            "This server does not follow that server's log of key changes.",
            "Dieser Server verfolgt das Verzeichnis der Schlüsselwechsel jenes Servers nicht.",
        ),
        E::NeighbourFull => plain(
            S::INSUFFICIENT_STORAGE,
            "neighbour-full",
            "Too much is waiting for that server. Please try again later.",
            "Für diesen Server wartet schon zu viel. Bitte später noch einmal versuchen.",
        )
        .retry_after(Duration::from_secs(600)),
        E::NeighbourShareFull => plain(
            S::INSUFFICIENT_STORAGE,
            "neighbour-share-full",
            "Too much from you waits for that server. It goes on when some of it has arrived there.",
            "Für diesen Server wartet schon zu viel von Ihnen. Es geht weiter, wenn etwas davon dort angekommen ist.",
        )
        .retry_after(Duration::from_secs(600)),
        E::UnknownInvite => plain(
            S::NOT_FOUND,
            "unknown-invite",
            "This invite is unknown here. Copy the whole link, or ask for a new invite.",
            "Diese Einladung ist hier unbekannt. Bitte den ganzen Link kopieren oder um eine neue bitten.",
        ),
        E::InviteExpired => plain(
            S::GONE,
            "invite-expired",
            "This invite has expired. Please ask for a new one.",
            "Diese Einladung ist abgelaufen. Bitte um eine neue bitten.",
        ),
        E::InviteUsed => plain(
            S::CONFLICT,
            "invite-used",
            "Somebody has already registered with this invite. Please ask for a new one.",
            "Mit dieser Einladung hat sich schon jemand angemeldet. Bitte um eine neue bitten.",
        ),
        E::ReservationEnded => plain(
            S::UNAUTHORIZED,
            "reservation-ended",
            "The registration took too long. Start again with the same invite.",
            "Die Registrierung hat zu lange gedauert. Bitte mit derselben Einladung neu beginnen.",
        ),
        E::Bundle(cause) => plain(
            S::UNPROCESSABLE_ENTITY,
            "bundle-refused",
            "The key bundle is not acceptable.",
            "Das Schlüsselbündel ist so nicht zulässig.",
        )
        .detail(cause),
        E::DeviceList(cause) => plain(
            S::UNPROCESSABLE_ENTITY,
            "device-list-refused",
            "The device list is not acceptable.",
            "Die Geräteliste ist so nicht zulässig.",
        )
        .detail(cause),
        E::KeyRule(cause) => plain(
            S::UNPROCESSABLE_ENTITY,
            "keys-refused",
            "These keys or devices are not acceptable here.",
            "Diese Schlüssel oder Geräte sind hier nicht zulässig.",
        )
        .detail(cause),
        E::RevokingNeedsNewKeys => plain(
            S::UNPROCESSABLE_ENTITY,
            "revoking-needs-new-keys",
            "A device can only be removed together with new keys: publish a bundle in which every key is new.",
            "Ein Gerät lässt sich nur zusammen mit neuen Schlüsseln entfernen: bitte ein Bündel mit lauter neuen Schlüsseln veröffentlichen.",
        ),
        E::McElieceLength => plain(
            S::UNPROCESSABLE_ENTITY,
            "mceliece-length",
            "A Classic McEliece 460896f key has exactly 524160 bytes.",
            "Ein Classic-McEliece-460896f-Schlüssel hat genau 524160 Bytes.",
        ),
        E::McElieceDigest => plain(
            S::UNPROCESSABLE_ENTITY,
            "mceliece-digest",
            "The key does not have the digest it was sent under; send it again.",
            "Der Schlüssel passt nicht zu seiner Prüfsumme; bitte erneut senden.",
        ),
        E::UnknownMcElieceKey => plain(
            S::NOT_FOUND,
            "unknown-mceliece-key",
            "No McEliece key with this digest is stored here; store it first.",
            "Ein McEliece-Schlüssel mit dieser Prüfsumme ist hier nicht gespeichert; bitte zuerst speichern.",
        ),
        E::WrongProof => plain(
            S::FORBIDDEN,
            "wrong-proof",
            "The answer shows that not every published key can be opened. Make new keys and publish again.",
            "Die Antwort zeigt, dass sich nicht jeder Schlüssel öffnen lässt. Bitte neue Schlüssel erzeugen und veröffentlichen.",
        ),
        E::ChallengeGone => plain(
            S::CONFLICT,
            "challenge-gone",
            "This challenge is over. Offer the key bundle again.",
            "Diese Prüfung ist vorbei. Bitte das Schlüsselbündel erneut anbieten.",
        ),
        E::EnvelopeTooLarge { limit } => plain(
            S::PAYLOAD_TOO_LARGE,
            "envelope-too-large",
            "The message is too long for this server; send it in parts or as a file.",
            "Die Nachricht ist für diesen Server zu lang; bitte in Teilen oder als Datei senden.",
        )
        .detail(format!("limit: {limit} bytes")),
        E::Envelope(momedo_protocol::envelope::EnvelopeError::UnknownSuite(suite)) => plain(
            S::UNPROCESSABLE_ENTITY,
            "unknown-suite",
            "The message is sealed with a suite this server does not know; update the server or the app.",
            "Die Nachricht ist mit einem hier unbekannten Verfahren verschlüsselt; bitte Server oder App aktualisieren.",
        )
        .detail(suite),
        E::Envelope(cause) => plain(
            S::UNPROCESSABLE_ENTITY,
            "envelope-malformed",
            "This is not a sealed message.",
            "Das ist keine verschlüsselte Nachricht.",
        )
        .detail(cause),
        E::MessageIdMismatch => plain(
            S::UNPROCESSABLE_ENTITY,
            "message-id-mismatch",
            "The message ID beside the envelope differs from the one inside.",
            "Die Kennung neben der Nachricht ist eine andere als die darin.",
        ),
        E::StaleBundle => plain(
            S::CONFLICT,
            "stale-bundle",
            "The message is sealed to keys the recipient no longer uses. Fetch the keys and seal again.",
            "Die Nachricht ist mit Schlüsseln verschlüsselt, die nicht mehr gelten. Bitte Schlüssel holen und neu verschlüsseln.",
        ),
        E::MessageConflict => plain(
            S::CONFLICT,
            "message-conflict",
            "Another message was already sent under this ID. Use a new ID.",
            "Unter dieser Kennung wurde schon eine andere Nachricht gesendet. Bitte eine neue Kennung verwenden.",
        ),
        E::Blocked => plain(
            S::FORBIDDEN,
            "blocked",
            "This person does not take messages from you.",
            "Diese Person nimmt von Ihnen keine Nachrichten an.",
        ),
        E::TooManyBlocks => plain(
            S::CONFLICT,
            "too-many-blocks",
            "You already block as many people as this server remembers. Unblock somebody first.",
            "Sie blockieren schon so viele, wie dieser Server sich merkt. Bitte erst jemanden freigeben.",
        )
        .detail(format!("limit: {}", momedo_protocol::limits::MAX_BLOCKS)),
        E::NoKeyBackup => plain(
            S::NOT_FOUND,
            "no-key-backup",
            "You have no key backup here. Make one and put the recovery code in a safe place.",
            "Sie haben hier keine Schlüsselsicherung. Bitte eine anlegen und den Wiederherstellungscode gut aufheben.",
        ),
        E::KeyBackupOutdated => plain(
            S::CONFLICT,
            "key-backup-outdated",
            "Another device has stored a newer key backup. Look at it first.",
            "Ein anderes Gerät hat schon eine neuere Schlüsselsicherung gespeichert. Bitte zuerst diese ansehen.",
        ),
        E::KeyBackupRefused => plain(
            S::FORBIDDEN,
            "key-backup-refused",
            "No key backup here opens with this ID and recovery code. Check both, letter by letter.",
            "Zu dieser ID und diesem Wiederherstellungscode gibt es hier keine Schlüsselsicherung. Bitte beides prüfen.",
        ),
        E::UnknownLink => plain(
            S::NOT_FOUND,
            "unknown-link",
            "This link has ended: it holds for two minutes. Show a new one on the old device.",
            "Dieser Link ist abgelaufen, er gilt zwei Minuten. Bitte auf dem alten Gerät einen neuen zeigen.",
        ),
        E::LinkUsed => plain(
            S::CONFLICT,
            "link-used",
            "Another device has used this link already. Refuse the code on the old device and show a new link.",
            "Ein anderes Gerät hat diesen Link schon benutzt. Bitte auf dem alten Gerät ablehnen und einen neuen zeigen.",
        ),
        E::ReportRefused(cause) => plain(
            S::UNPROCESSABLE_ENTITY,
            "report-refused",
            "This message cannot be reported.",
            "Diese Nachricht lässt sich nicht melden.",
        )
        .detail(cause),
        E::NoDevice => plain(
            S::CONFLICT,
            "no-device",
            "The recipient has no device at the moment: an admin locked them out after a loss. Try again later.",
            "Der Empfänger hat zurzeit kein Gerät: Nach einem Verlust wurden sie gesperrt. Bitte später wiederholen.",
        ),
        E::OzoneFull => plain(
            S::INSUFFICIENT_STORAGE,
            "ozone-full",
            "The recipient's mailbox is full. It empties when they next come online.",
            "Das Postfach ist voll. Es leert sich, wenn die Person wieder online ist.",
        )
        .retry_after(Duration::from_secs(3600)),
        E::SenderShareFull => plain(
            S::INSUFFICIENT_STORAGE,
            "sender-share-full",
            "Too much from you waits in the recipient's mailbox. Wait until they have read it.",
            "Im Postfach wartet schon zu viel von Ihnen. Bitte warten, bis es abgeholt ist.",
        )
        .retry_after(Duration::from_secs(3600)),
        E::SenderFull => plain(
            S::INSUFFICIENT_STORAGE,
            "sender-full",
            "Too much from you waits on this server, for all recipients together. Wait until they have read some of it.",
            "Auf diesem Server wartet schon zu viel von Ihnen, bei allen Empfängern zusammen. Bitte warten, bis etwas davon abgeholt ist.",
        )
        .retry_after(Duration::from_secs(3600)),
        E::UnknownBlob => plain(
            S::NOT_FOUND,
            "unknown-blob",
            "This file is not here, or no longer: it was fetched, it expired, or its sender erased it.",
            "Diese Datei gibt es hier nicht oder nicht mehr: Sie wurde abgeholt, ist abgelaufen oder wurde gelöscht.",
        ),
        E::BlobConflict => plain(
            S::CONFLICT,
            "blob-conflict",
            "Another file was announced under this ID. Use a new ID.",
            "Unter dieser Kennung wurde schon eine andere Datei angekündigt. Bitte eine neue Kennung verwenden.",
        ),
        E::BlobIncomplete => plain(
            S::CONFLICT,
            "blob-incomplete",
            "The file has not arrived in full. Upload the rest first.",
            "Die Datei ist noch nicht vollständig da. Bitte zuerst den Rest hochladen.",
        ),
        E::WrongOffset { offset } => plain(
            S::CONFLICT,
            "wrong-offset",
            "The upload goes on elsewhere. Ask how far it is, then go on there.",
            "Der Upload geht an anderer Stelle weiter. Bitte den Stand erfragen und dort fortsetzen.",
        )
        .detail(format!("offset: {offset}")),
        E::BlobTooLarge { limit } => plain(
            S::PAYLOAD_TOO_LARGE,
            "blob-too-large",
            "The file is too large for this server.",
            "Die Datei ist für diesen Server zu groß.",
        )
        .detail(format!("limit: {limit} bytes")),
        E::BlobQuotaFull => plain(
            S::INSUFFICIENT_STORAGE,
            "blob-quota-full",
            "Too many of your files wait on the server. They go when everybody has fetched them; or erase some.",
            "Zu viele Ihrer Dateien warten auf dem Server. Sie verschwinden, wenn alle sie abgeholt haben; oder löschen Sie einige.",
        )
        .retry_after(Duration::from_secs(3600)),
        E::BlobStoreFull => plain(
            S::INSUFFICIENT_STORAGE,
            "blob-store-full",
            "The room that this server keeps for files is full. Try later, or tell its admin.",
            "Der Platz, den dieser Server für Dateien hat, ist voll. Bitte später noch einmal versuchen oder der Verwaltung sagen.",
        )
        .retry_after(Duration::from_secs(3600)),
        E::RangeNotSatisfiable => plain(
            S::RANGE_NOT_SATISFIABLE,
            "range-not-satisfiable",
            "The file has no such bytes.",
            "Diese Bytes hat die Datei nicht.",
        ),
        E::KeysForgotten => plain(
            S::CONFLICT,
            "keys-forgotten",
            "This server was restored from an older backup and has forgotten newer keys of this participant. They come back \
             as soon as a device connects that has them; if there is none any more, an admin has to reset the keys.",
            "Dieser Server wurde aus einer älteren Sicherung wiederhergestellt und hat neuere Schlüssel dieser Person \
             vergessen. Sie kommen wieder, sobald sich ein Gerät meldet, das sie hat; gibt es keines mehr, muss die \
             Verwaltung die Schlüssel zurücksetzen.",
        ),
        E::DeviceForgotten => plain(
            S::FORBIDDEN,
            "device-forgotten",
            "This server was restored from a backup that does not know this device. Another device of the same person has to \
             connect first; if there is none, ask your admin for a new invite.",
            "Dieser Server wurde aus einer Sicherung wiederhergestellt, die dieses Gerät nicht kennt. Zuerst muss sich ein \
             anderes Gerät derselben Person melden; gibt es keines, hilft eine neue Einladung der Verwaltung.",
        ),
        E::UnknownGroup => plain(
            S::NOT_FOUND,
            "unknown-group",
            "There is no such group, or you do not belong to it.",
            "Diese Gruppe gibt es nicht, oder Sie gehören nicht dazu.",
        ),
        E::StaleGroup { number } => plain(
            S::CONFLICT,
            "stale-group",
            "The group has changed meanwhile. Read its entries on and try again.",
            "Die Gruppe hat sich inzwischen geändert. Bitte ihre Einträge lesen und wiederholen.",
        )
        .detail(format!("the last entry is number {number}")),
        E::GroupRefused(cause) => plain(
            S::UNPROCESSABLE_ENTITY,
            "group-refused",
            "The group's rules do not allow this.",
            "Die Regeln der Gruppe lassen das nicht zu.",
        )
        .detail(cause),
        E::ModeratorsPost => plain(
            S::FORBIDDEN,
            "moderators-post",
            "Only moderators write to this group.",
            "In diese Gruppe schreibt nur, wer sie moderiert.",
        ),
        E::MemberReset => plain(
            S::CONFLICT,
            "member-reset",
            "A member's keys were reset: exclude them from the group first, then make a new group key.",
            "Die Schlüssel eines Mitglieds wurden zurückgesetzt: bitte erst ausschließen, dann einen neuen Gruppenschlüssel machen.",
        ),
        E::TooManyGroups => plain(
            S::UNPROCESSABLE_ENTITY,
            "too-many-groups",
            "You have made or joined as many groups as this server keeps per person. Leave one first.",
            "Sie haben so viele Gruppen gemacht oder betreten, wie der Server pro Person führt. Bitte erst eine verlassen.",
        ),
        E::AddedTooOften => plain(
            S::UNPROCESSABLE_ENTITY,
            "added-too-often",
            "You have added somebody to many groups already. They can join by themselves, with a link to the group.",
            "Sie haben jemanden schon in viele Gruppen aufgenommen. Mit einem Link zur Gruppe kann man selbst beitreten.",
        ),
        E::ChangedTooOften => plain(
            S::UNPROCESSABLE_ENTITY,
            "changed-too-often",
            "You have changed this group too often. Ask one of its moderators to do it, or leave it.",
            "Sie haben diese Gruppe zu oft geändert. Bitte eine Moderatorin oder einen Moderator darum bitten, oder austreten.",
        ),
        E::OtherEpoch => plain(
            S::CONFLICT,
            "other-epoch",
            "The server was restored from a backup. Start reading from the beginning; drop what you have.",
            "Der Server wurde aus einer Sicherung wiederhergestellt. Bitte von vorn lesen und Doppeltes verwerfen.",
        ),
        E::NotHandedOut => plain(
            S::CONFLICT,
            "not-handed-out",
            "This acknowledges what was not handed out yet. Fetch first, then acknowledge.",
            "Bestätigt wurde etwas noch nicht Ausgeliefertes. Bitte erst abholen, dann bestätigen.",
        ),
        E::TooOften(after) => plain(
            S::TOO_MANY_REQUESTS,
            "too-often",
            "That was too often. Please wait a moment.",
            "Das war zu oft. Bitte einen Moment warten.",
        )
        .retry_after(*after + Duration::from_millis(999)),
        E::Malformed(cause) => plain(
            S::BAD_REQUEST,
            "malformed",
            "The request cannot be understood.",
            "Die Anfrage ist unverständlich.",
        )
        .detail(cause),
        E::BodyTooLarge { limit } => plain(
            S::PAYLOAD_TOO_LARGE,
            "body-too-large",
            "The request is too large.",
            "Die Anfrage ist zu groß.",
        )
        .detail(format!("limit: {limit} bytes")),
        E::BodyTooSlow => plain(
            S::REQUEST_TIMEOUT,
            "body-too-slow",
            "The request did not arrive in time. Please try again on a better line.",
            "Die Anfrage kam nicht rechtzeitig an. Bitte mit besserer Verbindung erneut versuchen.",
        ),
        E::NoSuchPath => plain(
            S::NOT_FOUND,
            "no-such-path",
            "There is nothing at this address.",
            "Unter dieser Adresse gibt es nichts.",
        ),
        E::WrongMethod => plain(
            S::METHOD_NOT_ALLOWED,
            "wrong-method",
            "This address does not take that method.",
            "Diese Adresse versteht diese Methode nicht.",
        ),
        E::StorageFull => plain(
            S::INSUFFICIENT_STORAGE,
            "storage-full",
            "The server's disk is full, so it takes no new messages. Its admin has to make room.",
            "Der Speicher des Servers ist voll, er nimmt keine neuen Nachrichten an. Die Verwaltung muss Platz schaffen.",
        )
        .retry_after(Duration::from_secs(300)),
        E::Busy => plain(
            S::SERVICE_UNAVAILABLE,
            "busy",
            "The server is very busy. Please try again in a moment.",
            "Der Server ist gerade sehr beschäftigt. Bitte gleich noch einmal versuchen.",
        )
        .retry_after(Duration::from_secs(1)),
        E::Internal(_) | E::Backup(_) => plain(
            S::INTERNAL_SERVER_ERROR,
            "internal",
            "Something went wrong on the server. Its admin finds the reason in the log.",
            "Auf dem Server ist etwas schiefgegangen. Die Verwaltung findet den Grund im Protokoll.",
        ),
    }
}
