//! QR codes for a terminal, two modules to a character.
//!
//! Some scanners read no light code on a dark ground, and no program knows which of the two a terminal has. So a terminal is
//! told both colours, and everything else gets blocks alone.

use std::io::IsTerminal;

use qrcode::QrCode;
use qrcode::render::unicode::Dense1x2;

/// Black on white out of the 256 colours, which unlike the first sixteen no theme replaces.
const BLACK_ON_WHITE: &str = "\x1b[38;5;16;48;5;231m";
/// The terminal's own colours.
const RESET: &str = "\x1b[0m";

/// How a code is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    /// Black on white, whatever the terminal's own colours are.
    Colours,
    /// Blocks in whatever colour text has; right where text is light on dark, as in most terminals.
    Blocks,
}

impl Look {
    /// What suits standard output.
    pub(super) fn of_standard_output() -> Self {
        // A console of Windows takes colours only from programs that ask it to, which needs `unsafe`.
        let takes_colours = !cfg!(windows) && std::io::stdout().is_terminal();
        let variable = |name| std::env::var(name).ok();
        Self::of(takes_colours, variable("TERM").as_deref(), variable("NO_COLOR").as_deref())
    }

    fn of(takes_colours: bool, terminal: Option<&str>, no_color: Option<&str>) -> Self {
        // https://no-color.org: set and not empty.
        let is_unwanted = no_color.is_some_and(|value| !value.is_empty());
        if takes_colours && terminal != Some("dumb") && !is_unwanted { Self::Colours } else { Self::Blocks }
    }
}

/// The code of a text, with the quiet zone that scanners need around it.
pub(super) fn draw(text: &str, look: Look) -> anyhow::Result<String> {
    let code = QrCode::with_error_correction_level(text, qrcode::EcLevel::L)?;
    // Blocks stand for what is drawn in the colour of text.
    let (dark, light) = match look {
        Look::Colours => (Dense1x2::Dark, Dense1x2::Light),
        Look::Blocks => (Dense1x2::Light, Dense1x2::Dark),
    };
    let picture = code.render::<Dense1x2>().dark_color(dark).light_color(light).build();
    Ok(match look {
        Look::Blocks => picture,
        // Ended on each line, or the colour runs on to the terminal's edge.
        Look::Colours => {
            let lines: Vec<_> =
                picture.lines().map(|line| format!("{BLACK_ON_WHITE}{line}{RESET}")).collect();
            lines.join("\n")
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINK: &str = "momedo://192.168.1.9:4710/d#ABCDEFGH";
    /// Light modules around a code.
    const QUIET: usize = 4;

    /// What a terminal shows of a character: whether its upper and its lower half are in the colour of text.
    fn halves(character: char) -> [bool; 2] {
        match character {
            ' ' => [false, false],
            '▀' => [true, false],
            '▄' => [false, true],
            '█' => [true, true],
            other => panic!("{other:?} is no block"),
        }
    }

    /// Whether each module of the code in the picture is in the colour of text, row after row.
    fn read(picture: &str) -> Vec<bool> {
        let width = QrCode::with_error_correction_level(LINK, qrcode::EcLevel::L).unwrap().width();
        let lines: Vec<Vec<_>> = picture.lines().map(|line| line.chars().map(halves).collect()).collect();
        assert!(lines.iter().all(|line| line.len() == width + 2 * QUIET));
        let module = |row: usize, column: usize| lines[row / 2][column][row % 2];
        let places =
            (QUIET..QUIET + width).flat_map(|row| (QUIET..QUIET + width).map(move |column| (row, column)));
        places.map(|(row, column)| module(row, column)).collect()
    }

    fn dark_modules() -> Vec<bool> {
        let code = QrCode::with_error_correction_level(LINK, qrcode::EcLevel::L).unwrap();
        code.to_colors().into_iter().map(|color| color == qrcode::Color::Dark).collect()
    }

    #[test]
    fn on_a_terminal_dark_modules_are_black_and_every_line_ends_its_colours() {
        let picture = draw(LINK, Look::Colours).unwrap();
        let bare: Vec<_> = picture
            .lines()
            .map(|line| line.strip_prefix(BLACK_ON_WHITE).unwrap().strip_suffix(RESET).unwrap())
            .collect();
        assert_eq!(read(&bare.join("\n")), dark_modules());
        assert!(bare[0].chars().all(|character| character == ' '), "the quiet zone is white");
    }

    #[test]
    fn elsewhere_there_are_blocks_alone_light_on_dark() {
        let picture = draw(LINK, Look::Blocks).unwrap();
        assert!(!picture.contains('\x1b'));
        let light: Vec<_> = dark_modules().into_iter().map(|is_dark| !is_dark).collect();
        assert_eq!(read(&picture), light);
    }

    #[test]
    fn colours_are_for_terminals_that_take_them_and_people_who_want_them() {
        for (is_terminal, terminal, no_color, expected) in [
            (true, Some("xterm-256color"), None, Look::Colours),
            (true, None, Some(""), Look::Colours),
            (true, Some("xterm"), Some("1"), Look::Blocks),
            (true, Some("dumb"), None, Look::Blocks),
            (false, Some("xterm-256color"), None, Look::Blocks),
        ] {
            assert_eq!(Look::of(is_terminal, terminal, no_color), expected, "{terminal:?} {no_color:?}");
        }
    }
}
