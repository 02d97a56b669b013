//! What follows from the table of settings: the types that hold them, their defaults, and a row for each.

/// Turns the table into the sections of [`Config`](super::Config), into [`Rules`](super::Rules),
/// [`SETTINGS`](super::SETTINGS) and [`names`](super::names).
macro_rules! settings {
    ($(
        $section:ident: $struct:ident $section_help:literal {
            $(
                $key:ident: $type:ty = $default:expr, $kind:expr,
                    $english:literal,
                    $german:literal
                    $(, on $page:ident $(as $rule:ident $(flag $flag:literal)? $(($label:literal, $label_german:literal))?)?)?;
            )*
        }
    )*) => {
        $(
            #[doc = $section_help]
            // Help is plain text, whatever stands in its brackets.
            #[allow(rustdoc::broken_intra_doc_links)]
            #[derive(Debug, Clone, PartialEq, serde::Deserialize)]
            #[serde(deny_unknown_fields, default)]
            pub struct $struct {
                $( #[doc = $english] pub $key: $type, )*
            }

            impl Default for $struct {
                fn default() -> Self {
                    Self { $( $key: $default, )* }
                }
            }
        )*

        /// Everything `momedo.toml` may hold. An unknown key is an error.
        #[derive(Debug, Clone, PartialEq, Default, serde::Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub struct Config {
            $( #[doc = $section_help] pub $section: $struct, )*
            /// Where each of them came from.
            #[serde(skip)]
            pub origins: Origins,
        }

        /// What admins change while the server runs, as kept and as asked for; `None` leaves a setting as it is.
        #[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
        #[serde(default)]
        pub struct Rules {
            $( $( $( $(
                #[doc = $english]
                pub $rule: Option<<$type as Changeable>::Rule>,
            )? )? )* )*
            /// The port invite links name, if a listener has it.
            pub link_port: Option<u16>,
        }

        /// Every setting, in the order in which files, pages and lists have them.
        pub static SETTINGS: &[Setting] = &[ $( $(
            Setting {
                name: names::$section::$key,
                section: stringify!($section),
                key: stringify!($key),
                kind: $kind,
                help: Words { english: $english, german: $german },
                page: settings!(@page $($page)?),
                rule: settings!(@rule $section $key $type
                    $($([$rule $(flag $flag)? $(($label, $label_german))?])?)?),
                read: |config| config.$section.$key.value(),
            },
        )* )* ];

        /// Every section, with what it is about.
        pub static SECTIONS: &[(&str, &str)] = &[ $( (stringify!($section), $section_help), )* ];

        /// The names of all settings, `section.key`, so that a misspelt one does not compile.
        #[expect(non_upper_case_globals, reason = "they are written as in momedo.toml")]
        #[allow(rustdoc::broken_intra_doc_links)]
        pub mod names {
            $(
                #[doc = $section_help]
                pub mod $section {
                    $(
                        #[doc = $english]
                        pub const $key: &str = concat!(stringify!($section), ".", stringify!($key));
                    )*
                }
            )*
        }
    };

    (@page) => { None };
    (@page $page:ident) => { Some(Page::$page) };

    (@rule $section:ident $key:ident $type:ty) => { None };
    (@rule $section:ident $key:ident $type:ty
        [$rule:ident $(flag $flag:literal)? $(($label:literal, $label_german:literal))?]) => {
        Some(Rule {
            name: stringify!($rule),
            flag: settings!(@flag $rule $($flag)?),
            label: settings!(@label $($label, $label_german)?),
            get: |rules| rules.$rule.as_ref().map(Plain::plain),
            set: |rules, value| {
                rules.$rule = Plain::of(value);
                rules.$rule.is_some()
            },
            lay: |rules, config, units| {
                if let Some(rule) = &rules.$rule {
                    config.$section.$key.lay(rule, units);
                }
            },
        })
    };

    (@flag $rule:ident $flag:literal) => { $flag };
    (@flag $rule:ident) => {{
        const NAME: &str = stringify!($rule);
        const FLAG: [u8; NAME.len()] = kebab(NAME);
        as_text(&FLAG)
    }};

    (@label) => { None };
    (@label $english:literal, $german:literal) => { Some(Words { english: $english, german: $german }) };
}

/// A name as a flag of the command line: `retention_days` becomes `retention-days`.
pub(super) const fn kebab<const N: usize>(name: &str) -> [u8; N] {
    let mut flag = [b'-'; N];
    let mut place = 0;
    while place < N {
        let byte = name.as_bytes()[place];
        if byte != b'_' {
            flag[place] = byte;
        }
        place += 1;
    }
    flag
}

/// Bytes that came from a text.
pub(super) const fn as_text(bytes: &'static [u8]) -> &'static str {
    match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(_) => panic!("names of rules are ASCII"),
    }
}
