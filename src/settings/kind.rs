//! What a setting may be: its unit, its range, and how both are said.

use momedo_texts::Language;

use super::Value;

/// Bytes of a MiB.
const MIB: u64 = 1024 * 1024;

/// What a number counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Things that the key names.
    Number,
    /// Bytes; the pages and the command line count in MiB.
    Bytes,
    /// Seconds.
    Seconds,
    /// Hours.
    Hours,
    /// Days.
    Days,
    /// Percent.
    Percent,
}

impl Unit {
    /// Its word in momedo.toml; empty for what needs none.
    pub fn word(self) -> &'static str {
        match self {
            Self::Number => "",
            Self::Bytes => "bytes",
            Self::Seconds => "seconds",
            Self::Hours => "hours",
            Self::Days => "days",
            Self::Percent => "percent",
        }
    }

    /// Its word on the pages, in German.
    fn rule_word_in_german(self) -> &'static str {
        if self == Self::Bytes { "MiB" } else { self.word_in(Language::German) }
    }

    /// Its word where momedo.toml is explained.
    pub fn word_in(self, language: Language) -> &'static str {
        if language == Language::English {
            return self.word();
        }
        match self {
            Self::Number => "",
            Self::Bytes => "Bytes",
            Self::Seconds => "Sekunden",
            Self::Hours => "Stunden",
            Self::Days => "Tage",
            Self::Percent => "Prozent",
        }
    }

    /// Its word on the command line.
    pub fn rule_word(self) -> &'static str {
        if self == Self::Bytes { "MiB" } else { self.word() }
    }

    /// How many of it one of the pages' and the command line's is.
    pub fn of_rule(self) -> u64 {
        if self == Self::Bytes { MIB } else { 1 }
    }
}

/// Which numbers a setting takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// The least.
    pub least: u64,
    /// The most.
    pub most: u64,
    /// Whether 0 is taken as well, and switches something off; what, says the setting's help.
    pub or_zero: bool,
}

impl Range {
    /// Whether it takes this number.
    pub fn has(self, number: u64) -> bool {
        (self.least..=self.most).contains(&number) || self.or_zero && number == 0
    }

    /// The same in larger units, so many to one.
    pub fn in_larger(self, units: u64) -> Self {
        Self { least: self.least.div_ceil(units), most: self.most / units, or_zero: self.or_zero }
    }

    /// The least number it takes, 0 among them.
    pub fn first(self) -> u64 {
        if self.or_zero { 0 } else { self.least }
    }

    fn in_german(self) -> String {
        let zero = if self.or_zero { "0, oder " } else { "" };
        format!("{zero}{} bis {}", self.least, self.most)
    }
}

impl std::fmt::Display for Range {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.or_zero {
            f.write_str("0, or ")?;
        }
        write!(f, "{} to {}", self.least, self.most)
    }
}

/// What a setting may be.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// A number of something.
    Number {
        /// What it counts.
        unit: Unit,
        /// Which ones.
        range: Range,
    },
    /// `per_minute` and `burst`, each in this range; the pages change both by one number.
    Rate(Range),
    /// True or false.
    YesOrNo,
    /// One line of text.
    Text {
        /// Which texts.
        fits: fn(&str) -> bool,
        /// The same in words, after the setting's name.
        requirement: &'static str,
    },
    /// Host names and addresses, at most so many.
    Hosts {
        /// The most.
        most: u64,
    },
    /// What the type of its field checks.
    Other,
}

impl Kind {
    /// A number that is never 0.
    pub const fn number(unit: Unit, least: u64, most: u64) -> Self {
        Self::Number { unit, range: Range { least, most, or_zero: false } }
    }

    /// A number, or 0, which switches something off.
    pub const fn number_or_zero(unit: Unit, least: u64, most: u64) -> Self {
        Self::Number { unit, range: Range { least, most, or_zero: true } }
    }

    /// A rate.
    pub const fn rate(most: u64) -> Self {
        Self::Rate(Range { least: 1, most, or_zero: false })
    }

    /// A text.
    pub const fn text(fits: fn(&str) -> bool, requirement: &'static str) -> Self {
        Self::Text { fits, requirement }
    }

    /// What it counts, if it does.
    pub fn unit(self) -> Unit {
        match self {
            Self::Number { unit, .. } => unit,
            _ => Unit::Number,
        }
    }

    /// The range of its numbers.
    pub fn range(self) -> Option<Range> {
        match self {
            Self::Number { range, .. } | Self::Rate(range) => Some(range),
            _ => None,
        }
    }

    /// The range of the one number by which pages and command line change it.
    pub fn rule_range(self) -> Option<Range> {
        self.range().map(|range| range.in_larger(self.unit().of_rule()))
    }

    /// What may stand in momedo.toml, as a sentence; empty where its help says it.
    pub fn allowed(self) -> String {
        match self {
            Self::Number { unit, range } => format!("{range} {}", unit.word()).trim_end().to_owned(),
            Self::Rate(range) => format!("each {range}"),
            Self::Hosts { most } => format!("at most {most}"),
            Self::YesOrNo | Self::Text { .. } | Self::Other => String::new(),
        }
    }

    /// The same in the reader's language.
    pub fn allowed_in(self, language: Language) -> String {
        match (language, self) {
            (Language::English, _) => self.allowed(),
            (Language::German, Self::Number { unit, range }) => {
                format!("{} {}", range.in_german(), unit.word_in(language)).trim_end().to_owned()
            }
            (Language::German, Self::Rate(range)) => format!("jeweils {}", range.in_german()),
            (Language::German, Self::Hosts { most }) => format!("höchstens {most}"),
            (Language::German, Self::YesOrNo | Self::Text { .. } | Self::Other) => String::new(),
        }
    }

    /// What an admin may set it to; empty where its help says it.
    pub fn allowed_as_rule(self) -> String {
        match (self, self.rule_range()) {
            (_, Some(range)) => format!("{range} {}", self.unit().rule_word()).trim_end().to_owned(),
            (Self::Hosts { most }, _) => format!("at most {most}"),
            _ => String::new(),
        }
    }

    /// The same in the reader's language.
    pub fn allowed_as_rule_in(self, language: Language) -> String {
        match (language, self, self.rule_range()) {
            (Language::English, ..) => self.allowed_as_rule(),
            (Language::German, _, Some(range)) => {
                format!("{} {}", range.in_german(), self.unit().rule_word_in_german()).trim_end().to_owned()
            }
            (Language::German, Self::Hosts { most }, None) => format!("höchstens {most}"),
            (Language::German, ..) => String::new(),
        }
    }

    /// Whether an admin may set it to this, in the units of the pages.
    pub fn takes_as_rule(self, value: &Value) -> bool {
        match (self, value) {
            (Self::Number { .. } | Self::Rate(_), Value::Number(number)) => {
                self.rule_range().is_some_and(|range| range.has(*number))
            }
            (Self::YesOrNo, Value::YesOrNo(_)) => true,
            (Self::Text { fits, .. }, Value::Text(text)) => fits(text),
            (Self::Hosts { most }, Value::List(hosts)) => hosts.len() as u64 <= most,
            _ => false,
        }
    }
}
