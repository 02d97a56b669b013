//! The table. A row is: key, type, default, what it may be, help in English and in German, and, if admins change it while
//! the server runs, where, by which name, and what stands before it on the page Rules.
//!
//! The help is what momedo.toml, the page, the command line and `docs/operations.md` say of it. Units and ranges are added
//! to it, so it names them only where it says why; what takes 0 says what 0 means.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use super::declare::{as_text, kebab};
use super::value::{Changeable, Plain, Stored};
use super::{Kind, Origins, Page, ProxySetting, Rule, Setting, Unit, Words};
use crate::domain::rate::Rate;
use crate::domain::security_contact::{is_address, is_contact};

const MIB: u64 = 1024 * 1024;
const GIB: u64 = 1024 * MIB;
const TIB: u64 = 1024 * GIB;

/// No disk of a school has more.
const MOST_DISK: u64 = 1024 * TIB;
/// A day: longer than anybody waits, and no time that overflows.
const MOST_SECONDS: u64 = 86_400;
/// As good as no limit, and what is a multiple of it is still a number.
const MOST_OFTEN: u64 = 100_000_000;

fn is_https(text: &str) -> bool {
    text.starts_with("https://")
}

const NOT_A_CONTACT: &str = "is an e-mail address, or begins with https:// or tel:";
const NOT_AN_ADDRESS: &str = "begins with https://";
const NOT_A_NAME: &str = "needs 1 to 80 characters that can be seen, with single spaces";

settings! {
    server: ServerConfig "Who this server is." {
        name: String = "momedo".into(), Kind::text(momedo_protocol::name::is_acceptable_name, NOT_A_NAME),
            "The server's name, as people see it.",
            "Wie die Leute den Server sehen.",
            on Rules as name ("The server's name", "Name des Servers");
        addresses: Vec<String> = Vec::new(), Kind::Hosts { most: 16 },
            "Host names and IP addresses people use, the first one stands in invites; empty: found by itself.",
            "Namen oder Adressen, die erste steht in Einladungen; leer: selbst gefunden.",
            on Rules as addresses flag "address" ("Addresses", "Adressen");
    }

    listen: ListenConfig "Where it listens, and how much it lets in." {
        addresses: Vec<SocketAddr> = vec![SocketAddr::from(([0; 8], 4710))], Kind::Other,
            "Addresses with ports; \"[::]:4710\" is every address of this machine.",
            "Adressen mit Ports; „[::]:4710“ ist jede Adresse dieses Rechners.";
        max_connections: usize = 12_000, Kind::number(Unit::Number, 1, 1_000_000),
            "Connections in all.",
            "Verbindungen insgesamt.";
        max_connections_per_address: usize = 4_000, Kind::number(Unit::Number, 1, 1_000_000),
            "Connections from one address; a whole school may sit behind one.",
            "Verbindungen von einer Adresse; hinter einer sitzt vielleicht eine ganze Schule.";
        max_streams_per_device: usize = 4, Kind::number(Unit::Number, 1, 100_000),
            "Streams and long polls one device may have open.",
            "Ströme und lange Abfragen, die ein Gerät offen haben darf.";
        handshake_seconds: u64 = 10, Kind::number(Unit::Seconds, 1, MOST_SECONDS),
            "Time for a TLS handshake.",
            "Zeit für einen TLS-Handschlag.";
        header_seconds: u64 = 30, Kind::number(Unit::Seconds, 1, MOST_SECONDS),
            "Time for a request's header; also how long a connection is kept that has no request.",
            "Zeit für den Kopf einer Anfrage; so lange bleibt auch eine Verbindung ohne Anfrage.";
        body_seconds: u64 = 120, Kind::number(Unit::Seconds, 1, MOST_SECONDS),
            "Time for a request's body.",
            "Zeit für den Inhalt einer Anfrage.";
        write_seconds: u64 = 30, Kind::number(Unit::Seconds, 1, MOST_SECONDS),
            "How long somebody may take nothing of what is written to them.",
            "Wie lange jemand von dem, was ihm geschrieben wird, nichts abnehmen darf.";
        max_unread_bytes: usize = 64 * 1024 * 1024, Kind::number(Unit::Bytes, 32 * MIB, TIB),
            "Memory for answers that nobody has taken yet and for bodies that are being read: a half of it for one \
             address, a sixteenth for one participant, a thirty-second for one connection.",
            "Speicher für Antworten, die noch niemand abgenommen hat, und für Inhalte, die gelesen werden: die Hälfte davon \
             für eine Adresse, ein Sechzehntel für eine Person, ein Zweiunddreißigstel für eine Verbindung.";
        keep_alive_seconds: u64 = 45, Kind::number(Unit::Seconds, 1, 3600),
            "How often a client at a stream is asked whether it is still there; after two unanswered times it is not.",
            "Wie oft ein Programm an einem Strom gefragt wird, ob es noch da ist; nach zweimal ohne Antwort ist es fort.";
    }

    tls: TlsConfig "An own certificate, for example from a public authority; without one the server's own issues it." {
        certificate: Option<PathBuf> = None, Kind::Other,
            "PEM file with the certificate chain; read again when it changes, and at SIGHUP.",
            "PEM-Datei mit der Zertifikatskette; wird neu gelesen, wenn sie sich ändert, und bei SIGHUP.";
        key: Option<PathBuf> = None, Kind::Other,
            "PEM file with its private key.",
            "PEM-Datei mit dem privaten Schlüssel dazu.";
    }

    acme: AcmeConfig "A certificate from a public authority, which renews itself: switched on on the page Certificates." {
        directory: String = "https://acme-v02.api.letsencrypt.org/directory".into(),
            Kind::text(is_https, NOT_AN_ADDRESS),
            "The authority asked (RFC 8555), https://…",
            "Der Anbieter, der gefragt wird (RFC 8555), https://…",
            on Certificates;
    }

    mail: MailConfig "What is kept, and for how long." {
        retention_days: u64 = 90, Kind::number(Unit::Days, 1, 3650),
            "How long messages wait for a device; 90 days outlast the summer holidays.",
            "So lange warten Nachrichten auf ein Gerät; 90 Tage überdauern die Sommerferien.",
            on Rules as retention_days ("Keep messages, days", "Nachrichten aufheben, Tage");
        max_envelope_bytes: usize = momedo_protocol::limits::DEFAULT_MAX_ENVELOPE_BYTES,
            Kind::number(Unit::Bytes, 4096, MIB),
            "Largest envelope: one message, sealed.",
            "Größter Umschlag: eine Nachricht, verschlüsselt.";
        max_queue_bytes: u64 = 64 * MIB, Kind::number(Unit::Bytes, 4096, 10 * GIB),
            "How much may wait for one device; when it is full, further messages to it are refused.",
            "Wie viel auf ein Gerät warten darf; ist es voll, werden weitere Nachrichten an dieses Gerät abgelehnt.",
            on Rules as queue_mib ("Room per device, MiB", "Platz je Gerät, MiB");
        sender_share_percent: u64 = 25, Kind::number(Unit::Percent, 1, 100),
            "How much of that one sender may fill, so that nobody alone fills somebody's room.",
            "Wie viel davon ein Absender füllen darf, damit niemand allein den Platz eines anderen füllt.",
            on Rules as sender_share_percent ("Share per sender, percent", "Anteil je Absender, Prozent");
        // In the largest group, in the form that seals to each member, a message takes up to 4 MiB until the last
        // has it: every other day one, for as long as mail is kept. A hundred who fill it fill no disk.
        max_sender_bytes: u64 = 256 * MIB, Kind::number(Unit::Bytes, 4096, TIB),
            "What waits of one person for everybody together; a message to many counts once.",
            "Was von einer Person bei allen zusammen wartet; eine Nachricht an viele zählt einmal.",
            on Rules as sender_mib ("Waiting per sender, MiB", "Wartendes je Absender, MiB");
    }

    storage: StorageConfig "The database file." {
        max_database_bytes: u64 = 0, Kind::number_or_zero(Unit::Bytes, 4096, MOST_DISK),
            "Largest database file; when it is reached, new mail is refused. 0: as large as the disk.",
            "Größte Datenbank; ist sie erreicht, wird neue Post abgelehnt. 0: so groß wie die Platte.";
    }

    blobs: BlobsConfig "Attachments: photos and other files that go along with messages." {
        max_blob_bytes: u64 = 100 * MIB, Kind::number(Unit::Bytes, 1, 10 * GIB),
            "Largest file that may go along with a message, before its sender seals it.",
            "Größte Datei, die mit einer Nachricht kommen darf, vor dem Verschlüsseln.",
            on Rules as file_mib ("Largest file, MiB", "Größte Datei, MiB");
        max_participant_bytes: u64 = GIB, Kind::number(Unit::Bytes, 4096, TIB),
            "How much of one sender's files is kept while they wait; they go when all have fetched them. A file counts as \
             whole blocks of 4,096 bytes.",
            "Wie viel von den Dateien eines Absenders aufgehoben wird, solange sie warten; haben alle sie abgeholt, \
             verschwinden sie. Eine Datei zählt in ganzen Blöcken von 4.096 Bytes.",
            on Rules as person_files_mib ("Files per person, MiB", "Dateien je Person, MiB");
        max_participant_files: u64 = 10_000, Kind::number(Unit::Number, 1, 1_000_000),
            "Most files of one participant that wait.",
            "So viele Dateien eines Absenders warten höchstens.";
        max_server_bytes: u64 = 0, Kind::number_or_zero(Unit::Bytes, 4096, 100 * TIB),
            "How much of everybody's files is kept at once. 0: as much as the disk has.",
            "Wie viel von den Dateien aller zugleich aufgehoben wird. 0: so viel die Platte hergibt.",
            on Rules as server_files_mib ("Files of everybody, MiB", "Dateien aller, MiB");
        retention_days: u64 = 90, Kind::number(Unit::Days, 1, 3650),
            "How long files are kept, unless all have them before; who has not fetched a file by then cannot any more.",
            "So lange bleiben Dateien, wenn nicht alle sie vorher haben; wer eine bis dahin nicht abgeholt hat, bekommt sie nicht mehr.",
            on Rules as file_days ("Keep files, days", "Dateien aufheben, Tage");
        min_free_bytes: u64 = 256 * MIB, Kind::number(Unit::Bytes, 0, MOST_DISK),
            "With less free space than this no files are taken: mail needs the room. 0: they may fill the disk.",
            "Ist weniger frei als das, werden keine Dateien angenommen: Post braucht den Platz. 0: Sie dürfen die Platte füllen.";
    }

    rules: RulesConfig "What else the admin decides." {
        invite_days: u64 = 30, Kind::number(Unit::Days, 1, 365),
            "How long an invite can be used, from printing on.",
            "Wie lange eine Einladung gilt, ab dem Drucken.",
            on Rules as invite_days ("Invites hold, days", "Einladungen gelten, Tage");
        one_time_passwords: bool = false, Kind::YesOrNo,
            "Whether accounts of the admin pages have to use one-time passwords; one without them then sees nothing but the \
             page to switch them on.",
            "Ob Konten dieser Seiten Einmalpasswörter brauchen; eines ohne sie sieht dann nur die Seite, auf der man sie \
             einschaltet.",
            on Rules as one_time_passwords ("One-time passwords for these pages", "Einmalpasswörter für diese Seiten");
    }

    security: SecurityConfig "Whom to tell of a fault of this server: what /security and /.well-known/security.txt say (RFC 9116)." {
        contact: String = String::new(), Kind::text(is_contact, NOT_A_CONTACT),
            "Whom to tell of a fault: an e-mail address, or one that begins with https:// or tel:. Stands on the page “Reporting \
             a fault” and in security.txt; empty: nobody.",
            "Wem man einen Fehler meldet: eine E-Mail-Adresse, oder eine, die mit https:// oder tel: beginnt. Steht auf der Seite \
             „Einen Fehler melden“ und in security.txt; leer: niemand.",
            on Rules as security_contact ("Whom to tell of a fault", "Wem man einen Fehler meldet");
        policy: String = String::new(), Kind::text(is_address, NOT_AN_ADDRESS),
            "A page of yours that says what happens with reports, https://…; may be empty.",
            "Eine Seite von Ihnen, auf der steht, was mit Meldungen geschieht, https://…; darf leer sein.",
            on Rules as security_policy ("What happens with such reports", "Was mit Meldungen geschieht");
        encryption: String = String::new(), Kind::text(is_address, NOT_AN_ADDRESS),
            "A key to write reports with, an OpenPGP key for example, https://…; may be empty.",
            "Womit man Meldungen verschlüsselt, etwa ein OpenPGP-Schlüssel, https://…; darf leer sein.",
            on Rules as security_encryption ("A key to write with", "Ein Schlüssel zum Schreiben");
    }

    rates: RatesConfig "How often anybody may do anything: \"burst\" at once, then \"per_minute\" as time goes by." {
        messages: Rate = Rate { per_minute: 600, burst: 1200 }, Kind::rate(MOST_OFTEN),
            "Messages one participant may send per minute; twice as many for a short while, unless momedo.toml says \
             otherwise.",
            "Nachrichten einer Person je Minute; kurz darf es doppelt so viel sein, wenn momedo.toml nichts anderes sagt.",
            on Rules as messages_per_minute ("Messages per person and minute", "Nachrichten je Person und Minute");
        requests: Rate = Rate { per_minute: 1200, burst: 2400 }, Kind::rate(MOST_OFTEN),
            "Other requests of one participant.",
            "Andere Anfragen einer Person.";
        publications: Rate = Rate { per_minute: 1, burst: 30 }, Kind::rate(MOST_OFTEN),
            "Key bundles and McEliece keys one participant offers: each may stay on the disk for months.",
            "Schlüsselbunde und McEliece-Schlüssel, die eine Person anbietet: Jeder liegt vielleicht Monate auf der Platte.";
        unauthenticated: Rate = Rate { per_minute: 1500, burst: 3000 }, Kind::rate(MOST_OFTEN),
            "Requests without a session from one address: a registration takes five, a log-in two.",
            "Anfragen ohne Anmeldung von einer Adresse: Eine Registrierung braucht fünf, eine Anmeldung zwei.";
        failures: Rate = Rate { per_minute: 60, burst: 120 }, Kind::rate(MOST_OFTEN),
            "Failed log-ins, wrong codes and the like from one address.",
            "Misslungene Anmeldungen, falsche Codes und dergleichen von einer Adresse.";
        handshakes: Rate = Rate { per_minute: 1500, burst: 2000 }, Kind::rate(MOST_OFTEN),
            "TLS handshakes with one address; twice as many with an IPv6 network of 56 bits, four times with one of 48.",
            "TLS-Handschläge mit einer Adresse; doppelt so viele mit einem IPv6-Netz von 56 Bits, viermal mit einem von 48.";
    }

    backup: BackupConfig "Backups made by themselves. They stand in backups/ in the data directory, so take one away from this machine now and then: momedo admin backup export." {
        every_hours: u64 = 24, Kind::number_or_zero(Unit::Hours, 1, 8760),
            "Time between two backups. 0: none are made by themselves.",
            "Zeit zwischen zwei Sicherungen. 0: nie von selbst.",
            on Rules as backup_every_hours ("Back up every … hours", "Sichern alle … Stunden");
        keep: usize = 7, Kind::number(Unit::Number, 1, 365),
            "How many backups are kept; fewer when space runs short.",
            "Wie viele Sicherungen aufgehoben werden; wird der Platz knapp, weniger.",
            on Rules as backup_keep ("Backups kept", "Sicherungen aufheben");
        min_free_bytes: u64 = 256 * MIB, Kind::number(Unit::Bytes, 0, MOST_DISK),
            "With less free space than this only the newest backup is kept: mail needs the room. 0: they may fill the disk.",
            "Ist weniger frei als das, bleibt nur die neueste Sicherung: Post braucht den Platz. 0: Sie dürfen die Platte füllen.";
    }

    smoke: SmokeConfig "The gateway for the Smoke app." {
        shared_port: bool = true, Kind::YesOrNo,
            "Whether Smoke clients are let in at the addresses everybody uses.",
            "Ob Smoke-Programme an den Adressen eingelassen werden, die alle benutzen.",
            on Smoke as smoke_shared_port;
        share_ids: bool = true, Kind::YesOrNo,
            "Whether Smoke clients that know an ozone may register IDs by themselves.",
            "Ob Smoke-Programme, die ein Ozon kennen, selbst IDs eintragen dürfen.",
            on Smoke as smoke_share_ids;
        max_participants: u64 = 1_000, Kind::number(Unit::Number, 1, 10_000),
            "Most Smoke IDs: each costs work with every message that is not recognised at once.",
            "So viele Smoke-IDs höchstens: Jede kostet Arbeit bei jeder Nachricht, die nicht gleich erkannt wird.";
    }

    metrics: MetricsConfig "Figures for a program that watches the server, such as Prometheus: GET /metrics." {
        enabled: bool = false, Kind::YesOrNo,
            "Whether figures about the server can be fetched, with the token that momedo admin metrics makes; without a \
             token nobody gets them.",
            "Ob Zahlen über den Server abgerufen werden können, mit dem Token, das momedo admin metrics erstellt; ohne Token \
             bekommt sie niemand.",
            on Rules as metrics ("Figures for Prometheus", "Zahlen für Prometheus");
    }

    log: LogConfig "Where log lines go: to standard error, or where nobody can read that, as after a double-click, to momedo.log in the data directory." {
        file: bool = false, Kind::YesOrNo,
            "Whether they go to momedo.log in any case.",
            "Ob sie in jedem Fall nach momedo.log gehen.";
    }

    neighbours: NeighboursConfig "The links to other servers." {
        heartbeat_seconds: u16 = 30, Kind::number(Unit::Seconds, 1, 600),
            "How often something is sent over an idle link to another server; after three times it is broken.",
            "Wie oft über eine stille Verbindung zu einem anderen Server etwas geschickt wird; nach dreimal ist sie unterbrochen.";
        announce: bool = true, Kind::YesOrNo,
            "Whether other servers are told where this one may be dialled; of no use behind a router that lets nobody in.",
            "Ob andere Server hören, wo dieser zu erreichen ist; nutzlos hinter einem Router, der niemanden einlässt.";
        nearby: bool = true, Kind::YesOrNo,
            "Whether servers in the local network find each other (DNS-SD), and may ask to be neighbours without a pairing \
             link. Nothing is sent while the server listens on this machine alone.",
            "Ob Server im eigenen Netz einander finden (DNS-SD) und ohne Link um Nachbarschaft bitten dürfen. Solange der \
             Server nur auf diesem Rechner lauscht, wird nichts gesendet.";
        proxy: ProxySetting = ProxySetting::default(), Kind::Other,
            "What neighbours outside the local network are dialled through: \"socks5://[user:password@]host:port\" or \
             \"http://[user:password@]host:port\"; empty: nothing.",
            "Worüber Nachbarn außerhalb des eigenen Netzes angewählt werden: „socks5://[Name:Passwort@]Rechner:Port“ oder \
             „http://[Name:Passwort@]Rechner:Port“; leer: unmittelbar.";
        dial_also: Vec<IpAddr> = Vec::new(), Kind::Other,
            "Loopback and link-local addresses that are dialled although others named them, such as [\"127.0.0.1\"] for other \
             servers on this machine. All others of that kind are not: they lead to what only this machine reaches.",
            "Adressen dieses Rechners und des Kabels, die angewählt werden, obwohl andere sie nannten, etwa [\"127.0.0.1\"] für \
             andere Server auf diesem Rechner. Alle anderen dieser Art nicht: Sie führen zu dem, was nur dieser Rechner erreicht.";
    }
}
