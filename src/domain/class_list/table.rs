//! A text as rows of cells: separators guessed, quotes as they should be and as they are.
//!
//! Not with a library for CSV: such a one reads on behind a quote that is never closed, to the end of the file, and says
//! nothing of what it swallowed.

/// A row of cells, or why it is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    /// The line it begins in, from 1.
    pub(super) line: u64,
    /// Its cells, without blanks at their ends.
    pub(super) cells: Result<Vec<String>, OpenQuote>,
}

/// A quote that opens a cell and is not closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OpenQuote;

/// Separators in the order in which they are preferred where nothing decides.
const SEPARATORS: [char; 4] = [';', '\t', ',', '|'];

/// Most lines of one row: cells hold an address, never half a list.
const MAX_ROW_LINES: usize = 8;

/// Most cells of a row, and most rows; more is no list of people, and costs too much to look at.
const MAX_CELLS: usize = 256;
const MAX_ROWS: usize = 50_000;

/// How many rows are looked at for guessing the separator.
const SAMPLE_LINES: usize = 30;

/// The rows of a text that are not blank, and what separates their cells; `None` when there are too many.
pub(super) fn rows(text: &str, chosen: Option<char>) -> Option<(Vec<Row>, char)> {
    let lines: Vec<&str> = text.split('\n').collect();
    let declared = lines.first().and_then(|line| declared_separator(line));
    let separator = chosen.or(declared).unwrap_or_else(|| guessed_separator(&lines));
    let mut rows = Vec::new();
    let mut next = usize::from(declared.is_some());
    // Rows go on over several lines only where they then have as many cells as the first one.
    let mut width = None;
    while let Some(line) = lines.get(next) {
        if line.trim_matches(|c: char| c.is_whitespace() || c == separator || c == '\0').is_empty() {
            next += 1;
            continue;
        }
        let (cells, used) = cells(&lines[next..], separator, width);
        if let (Ok(cells), None) = (&cells, width) {
            width = Some(cells.len()).filter(|width| *width > 1);
        }
        if rows.len() >= MAX_ROWS || cells.as_ref().is_ok_and(|cells| cells.len() > MAX_CELLS) {
            return None;
        }
        rows.push(Row { line: next as u64 + 1, cells });
        next += used;
    }
    Some((rows, separator))
}

/// Excel's own first line, which says the separator and nothing else: `sep=;`, also in capitals or quotes.
fn declared_separator(line: &str) -> Option<char> {
    let line = line.trim_matches(|c: char| c == '"' || c == ' ');
    let rest = line.get(..4).filter(|start| start.eq_ignore_ascii_case("sep=")).map(|_| &line[4..])?;
    let mut characters = rest.chars();
    match (characters.next(), characters.next()) {
        // Quotes and separators that follow are padding to the width of the sheet.
        (Some(separator), _) if separator.is_ascii() && !separator.is_ascii_alphanumeric() => Some(separator),
        _ => None,
    }
}

/// The separator that parts most lines into the same number of cells.
fn guessed_separator(lines: &[&str]) -> char {
    let sample: Vec<&&str> = lines.iter().filter(|line| !line.trim().is_empty()).take(SAMPLE_LINES).collect();
    let score = |separator: char| {
        let mut counts: Vec<usize> = sample.iter().map(|line| outside_quotes(line, separator)).collect();
        counts.retain(|count| *count > 0);
        counts.sort_unstable();
        let usual = counts.get(counts.len() / 2).copied().unwrap_or(0);
        let alike = counts.iter().filter(|count| **count == usual).count();
        // A comma also stands within names and addresses: another separator that parts every line parts the table.
        let parts_all = alike == sample.len() && usual > 0;
        (counts.len() * 2 > sample.len(), parts_all && separator != ',', alike, usual)
    };
    let best = |best: (char, _), separator: char| match score(separator) {
        score if score > best.1 => (separator, score),
        _ => best,
    };
    let [first, rest @ ..] = SEPARATORS;
    rest.into_iter().fold((first, score(first)), best).0
}

fn outside_quotes(line: &str, separator: char) -> usize {
    let mut is_quoted = false;
    let outside = line.chars().filter(|c| {
        is_quoted ^= *c == '"';
        !is_quoted && *c == separator
    });
    outside.count()
}

/// The cells of the row that begins with the first line, and how many lines it takes.
fn cells(lines: &[&str], separator: char, width: Option<usize>) -> (Result<Vec<String>, OpenQuote>, usize) {
    let most = lines.len().min(MAX_ROW_LINES);
    let first = split(lines[0], separator);
    if let Some(cells) = first {
        return (Ok(cells), 1);
    }
    for used in 2..=most {
        let Some(cells) = split(&lines[..used].join("\n"), separator) else { continue };
        if width.is_none_or(|width| cells.len() == width) {
            return (Ok(cells), used);
        }
    }
    (Err(OpenQuote), 1)
}

/// The cells of a row; `None` when a quote is open at its end, or is closed where no cell ends.
fn split(row: &str, separator: char) -> Option<Vec<String>> {
    let mut cells = Vec::new();
    let mut rest = row;
    loop {
        // Blanks before a quote belong to nobody; a tab may be the separator itself.
        let start =
            rest.trim_start_matches(|c: char| c != separator && (c == ' ' || c == '\t' || c == '\u{a0}'));
        let Some(quoted) = start.strip_prefix('"') else {
            let (cell, next) = match rest.split_once(separator) {
                Some((cell, next)) => (cell, Some(next)),
                None => (rest, None),
            };
            cells.push(unquoted_formula(cell.trim()).to_owned());
            match next {
                Some(next) => rest = next,
                None => return Some(cells),
            }
            continue;
        };
        let (cell, after) = quoted_cell(quoted)?;
        cells.push(unquoted_formula(cell.trim()).to_owned());
        let after = after.trim_start_matches(|c: char| c != separator && c.is_whitespace());
        match after.strip_prefix(separator) {
            Some(next) => rest = next,
            None if after.is_empty() => return Some(cells),
            None => return None,
        }
    }
}

/// What stands up to the closing quote, with doubled quotes as one, and what follows it.
fn quoted_cell(text: &str) -> Option<(String, &str)> {
    let (mut cell, mut rest) = (String::new(), text);
    loop {
        let (part, after) = rest.split_once('"')?;
        cell.push_str(part);
        match after.strip_prefix('"') {
            Some(next) => {
                cell.push('"');
                rest = next;
            }
            None => return Some((cell, after)),
        }
    }
}

/// Spreadsheets keep leading zeros as `="007"`.
fn unquoted_formula(cell: &str) -> &str {
    let inner = cell.strip_prefix('=').map_or(cell, str::trim_start);
    match inner.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(value) if inner.len() < cell.len() => value,
        _ => cell,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Vec<(u64, Option<Vec<String>>)> {
        rows(text, None).unwrap().0.into_iter().map(|row| (row.line, row.cells.ok())).collect()
    }

    fn row(line: u64, cells: &[&str]) -> (u64, Option<Vec<String>>) {
        (line, Some(cells.iter().map(|cell| (*cell).to_owned()).collect()))
    }

    #[test]
    fn any_usual_separator_is_found() {
        for separator in SEPARATORS {
            let text = "Name;Klasse;Ort\nAda;7b;\"Ulm; Donau\"\nBen, jun.;7b;Bonn\n"
                .replace(';', &separator.to_string());
            assert_eq!(rows(&text, None).unwrap().1, separator, "{text}");
        }
        assert_eq!(rows("Name;Klasse\nWaldmann, Ada;7b\nÖzer, Ben;7b\n", None).unwrap().1, ';');
        assert_eq!(rows("Name\nAda\n", None).unwrap().1, ';');
        let addresses = "Name, Vorname;Straße, Ort\nLovelace, Ada;Weg 1, Ulm\n";
        assert_eq!(rows(addresses, None).unwrap().1, ';');
        assert_eq!(rows("Name\nLovelace, Ada\n", Some(';')).unwrap().0[1].cells.as_ref().unwrap().len(), 1);
        assert!(rows(&";".repeat(300), None).unwrap().0.is_empty());
        assert!(rows(&format!("a{}b\n", ";".repeat(300)), None).is_none());
        assert!(rows(&"x\n".repeat(50_001), None).is_none());
        for first in ["sep=,", "SEP=,", "\"sep=,\"", "\"Sep=,\",", " sep=, "] {
            let text = format!("{first}\nName,Klasse\nAda,7b");
            assert_eq!(read(&text), [row(2, &["Name", "Klasse"]), row(3, &["Ada", "7b"])], "{first}");
        }
        assert_eq!(read("sep=\t\na\tb"), [row(2, &["a", "b"])]);
    }

    #[test]
    fn quotes_are_read_as_they_are_meant() {
        assert_eq!(
            read("\"NAME\" ; \"KLASSE\"\n\"Ada\" ;\"7b\" "),
            [row(1, &["NAME", "KLASSE"]), row(2, &["Ada", "7b"])]
        );
        assert_eq!(read("a;b\n\"say \"\"hi\"\"\";2"), [row(1, &["a", "b"]), row(2, &["say \"hi\"", "2"])]);
        assert_eq!(read("a;b\nthe 2\" pipe;2"), [row(1, &["a", "b"]), row(2, &["the 2\" pipe", "2"])]);
        assert_eq!(read("a;b\n=\"007\";=\"7b\""), [row(1, &["a", "b"]), row(2, &["007", "7b"])]);
        assert_eq!(
            read("a;b\nAda;\"Weg 1\n89073 Ulm\"\nBen;2"),
            [row(1, &["a", "b"]), row(2, &["Ada", "Weg 1\n89073 Ulm"]), row(4, &["Ben", "2"])]
        );
    }

    #[test]
    fn a_quote_that_is_never_closed_costs_its_own_row_alone() {
        let read_all = |text: &str| {
            read(text).into_iter().map(|(line, cells)| (line, cells.is_some())).collect::<Vec<_>>()
        };
        let one_lost = [(1, true), (2, true), (3, false), (4, true), (5, true)];
        for bad in ["\"Zwei;1a", "Zwei;\"1a", "\"Zwei\";\"1a", "\"Zwei\" x;1a"] {
            assert_eq!(
                read_all(&format!("Name;Klasse\nEins;1a\n{bad}\nDrei;1a\nVier;1a\n")),
                one_lost,
                "{bad}"
            );
            assert_eq!(
                read_all(&format!("Name;Klasse\nEins;1a\n{bad}\nDrei;\"1a\"\n\"Vier\";1a\n")),
                one_lost,
                "{bad} before quoted rows"
            );
        }
    }

    #[test]
    fn blank_rows_are_nobody() {
        assert_eq!(read("a;b\n\n ; \n;;;\nAda;\n"), [row(1, &["a", "b"]), row(5, &["Ada", ""])]);
    }

    proptest! {
        #[test]
        fn every_line_that_holds_something_belongs_to_a_row(text in "[a;\"\n ]{0,60}") {
            let (found, _) = rows(&text, None).unwrap();
            let lines: Vec<&str> = text.split('\n').collect();
            for pair in found.windows(2) {
                prop_assert!(pair[0].line < pair[1].line);
            }
            for row in &found {
                if row.cells.is_err() {
                    let index = usize::try_from(row.line).unwrap() - 1;
                    prop_assert!(lines[index].contains('"'));
                }
            }
        }

        #[test]
        fn cells_written_by_a_library_come_back(cells in prop::collection::vec(prop::collection::vec("[a-z\"; ,]{1,8}", 3), 2..6)) {
            let mut writer = csv::WriterBuilder::new().delimiter(b';').quote_style(csv::QuoteStyle::Always).from_writer(Vec::new());
            for row in &cells {
                writer.write_record(row).unwrap();
            }
            let text = format!("sep=;\n{}", String::from_utf8(writer.into_inner().unwrap()).unwrap());
            let found: Vec<Vec<String>> = rows(&text, None).unwrap().0.into_iter().map(|row| row.cells.unwrap()).collect();
            let expected: Vec<Vec<String>> = cells.iter().map(|row| row.iter().map(|cell| cell.trim().to_owned()).collect()).collect();
            // A row of blanks alone is nobody.
            let expected: Vec<_> = expected.into_iter().filter(|row| found.contains(row)).collect();
            prop_assert_eq!(found, expected);
        }
    }
}
