//! Workbooks as rows of cells, and files that are no list at all, told by their first bytes whatever they are called.
//!
//! A workbook is a ZIP file, so a small one can hold much: it is measured before anything of it is kept.

use std::io::{Cursor, Read};

use calamine::{Cell, DataRef, Reader, SheetType, SheetVisible, Xlsx};

use super::ClassListError;
use super::table::Row;

/// Most bytes a workbook may have unpacked.
const MAX_UNPACKED_BYTES: u64 = 64 * 1024 * 1024;

/// Most rows and columns that are looked at.
const MAX_ROWS: u32 = 50_000;
const MAX_COLUMNS: u32 = 256;

/// Most cells, with the empty ones before them: some 24 MiB.
const MAX_CELLS: usize = 1_000_000;

/// Most digits of the number of strings that a workbook says it has: 24 bytes are kept ready for each.
const MAX_STRINGS_DIGITS: usize = 6;

/// Most sheets that are looked into.
const MAX_SHEETS: usize = 100;

/// A sheet of a workbook.
pub(super) struct Sheet {
    /// Its name.
    pub(super) name: String,
    /// The names of all sheets that hold something, in their order.
    pub(super) all: Vec<String>,
    /// Its rows that are not blank.
    pub(super) rows: Vec<Row>,
}

/// The sheet of this name, else the first one that holds something; `None` when the file is text.
pub(super) fn read(file: &[u8], chosen: Option<&str>) -> Result<Option<Sheet>, ClassListError> {
    match kind(file) {
        None => Ok(None),
        Some(Kind::Zip) => sheet(file, chosen).map(Some),
        Some(Kind::Other(error)) => Err(error),
    }
}

enum Kind {
    Zip,
    Other(ClassListError),
}

fn kind(file: &[u8]) -> Option<Kind> {
    let start = file.trim_ascii_start();
    let begins = |with: &[u8]| start.get(..with.len()).is_some_and(|start| start.eq_ignore_ascii_case(with));
    let error = match () {
        () if file.starts_with(b"PK") && file.get(2).is_some_and(|byte| *byte < 9) => return Some(Kind::Zip),
        () if file.starts_with(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1") => ClassListError::OldWorkbook,
        () if begins(b"%PDF-") => ClassListError::Document,
        () if begins(b"{\\rtf") => ClassListError::Document,
        () if begins(b"<") || begins(b"\xef\xbb\xbf<") => ClassListError::Markup,
        () if [b"\x89PNG".as_slice(), b"\xff\xd8\xff", b"GIF8", b"\x1f\x8b", b"\x7fELF", b"MZ\x90"]
            .iter()
            .any(|magic| file.starts_with(magic)) =>
        {
            ClassListError::NoText
        }
        () => return None,
    };
    Some(Kind::Other(error))
}

/// What a ZIP file is, by what is in it; refuses what unpacks to too much.
fn measure(file: &[u8]) -> Result<(), ClassListError> {
    let damaged = |_| ClassListError::DamagedWorkbook;
    let mut archive = zip::ZipArchive::new(Cursor::new(file)).map_err(damaged)?;
    let is = |name: &str| archive.index_for_name(name).is_some();
    if !is("xl/workbook.xml") {
        return Err(match () {
            () if is("content.xml") => ClassListError::OpenDocument,
            () if is("xl/workbook.bin") => ClassListError::OldWorkbook,
            () if is("word/document.xml") => ClassListError::Document,
            () => ClassListError::DamagedWorkbook,
        });
    }
    let mut left = MAX_UNPACKED_BYTES;
    for index in 0..archive.len() {
        let entry = archive.by_index(index).map_err(damaged)?;
        // What the file says of its sizes need not be true.
        let mut unpacked = Vec::new();
        entry.take(left + 1).read_to_end(&mut unpacked).map_err(|_| ClassListError::DamagedWorkbook)?;
        left = left.checked_sub(unpacked.len() as u64).ok_or(ClassListError::TooLarge)?;
        if boasts(&unpacked) {
            return Err(ClassListError::TooLarge);
        }
    }
    Ok(())
}

/// Whether a part says that it holds more strings than a list can: the library makes room for as many as are said. What is
/// not written in UTF-8 is not looked into, and not believed either.
fn boasts(part: &[u8]) -> bool {
    const COUNT: &[u8] = b"uniqueCount";
    let wide = |first: usize| -> Vec<u8> {
        COUNT.iter().flat_map(|byte| if first == 0 { [*byte, 0] } else { [0, *byte] }).collect()
    };
    let is_wide = part.contains(&0) && [wide(0), wide(1)].iter().any(|count| find(part, count).is_some());
    let mut rest = part;
    while let Some(at) = find(rest, COUNT) {
        rest = &rest[at + COUNT.len()..];
        let value = rest.trim_ascii_start().strip_prefix(b"=").map(<[u8]>::trim_ascii_start);
        let digits = value.and_then(|value| value.split_first()).map(|(_, value)| value).unwrap_or_default();
        let digits = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if digits > MAX_STRINGS_DIGITS {
            return true;
        }
    }
    is_wide
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

fn sheet(file: &[u8], chosen: Option<&str>) -> Result<Sheet, ClassListError> {
    measure(file)?;
    let mut workbook = Xlsx::new(Cursor::new(file)).map_err(|_| ClassListError::DamagedWorkbook)?;
    let names: Vec<String> = workbook
        .sheets_metadata()
        .iter()
        .filter(|sheet| sheet.typ == SheetType::WorkSheet && sheet.visible == SheetVisible::Visible)
        .map(|sheet| sheet.name.clone())
        .collect();
    if names.len() > MAX_SHEETS {
        return Err(ClassListError::TooLarge);
    }
    let mut filled = Vec::new();
    let mut wanted = None;
    for name in names {
        let is_wanted = wanted.is_none() && chosen.is_none_or(|chosen| chosen == name);
        // Of the others it is enough to know that there is something.
        let rows = rows(&mut workbook, &name, if is_wanted { usize::MAX } else { 1 })?;
        if rows.is_empty() {
            continue;
        }
        if is_wanted {
            wanted = Some((name.clone(), rows));
        }
        filled.push(name);
    }
    let (name, rows) = wanted.ok_or(ClassListError::Empty)?;
    Ok(Sheet { name, all: filled, rows })
}

fn rows(workbook: &mut Xlsx<Cursor<&[u8]>>, name: &str, most: usize) -> Result<Vec<Row>, ClassListError> {
    let damaged = |_| ClassListError::DamagedWorkbook;
    let mut reader = workbook.worksheet_cells_reader(name).map_err(damaged)?;
    let mut rows: Vec<Row> = Vec::new();
    let mut room = MAX_CELLS;
    while let Some(cell) = reader.next_cell().map_err(damaged)? {
        let text = text(&cell);
        if text.is_empty() {
            continue;
        }
        let (row, column) = cell.get_position();
        if row >= MAX_ROWS || column >= MAX_COLUMNS {
            return Err(ClassListError::TooLarge);
        }
        let line = u64::from(row) + 1;
        if rows.len() >= most && rows.last().is_some_and(|last| last.line != line) {
            break;
        }
        match rows.last_mut() {
            Some(last) if last.line == line => {}
            // Rows that are not in their order would be other people than the screen shows.
            Some(last) if last.line > line => return Err(ClassListError::DamagedWorkbook),
            _ => rows.push(Row { line, cells: Ok(Vec::new()) }),
        }
        if let Some(Row { cells: Ok(cells), .. }) = rows.last_mut() {
            let column = column as usize;
            if cells.len() <= column {
                room = room.checked_sub(column + 1 - cells.len()).ok_or(ClassListError::TooLarge)?;
                cells.resize(column + 1, String::new());
            }
            cells[column] = text;
        }
    }
    Ok(rows)
}

/// What stands for a cell whose value a spreadsheet has changed or lost.
pub(super) const SPOILT: &str = "\u{fffc}";

/// What a cell shows, as far as it is a name, a class or a number.
fn text(cell: &Cell<DataRef<'_>>) -> String {
    match cell.get_value() {
        DataRef::String(text) => text.trim().to_owned(),
        DataRef::SharedString(text) => (*text).trim().to_owned(),
        DataRef::Int(number) => number.to_string(),
        // Numbers are kept as floating point, which holds every whole one of a key exactly.
        DataRef::Float(number) => number.to_string(),
        DataRef::Bool(value) => value.to_string(),
        // A class such as 7.1 that became a date, and what could not be computed: it is told where it matters.
        DataRef::DateTime(_) | DataRef::DateTimeIso(_) | DataRef::DurationIso(_) | DataRef::Error(_) => {
            SPOILT.to_owned()
        }
        DataRef::Empty => String::new(),
    }
}

/// A small workbook with one sheet for each of these tables, for tests.
#[cfg(test)]
pub(super) fn write(sheets: &[(&str, &str)]) -> Vec<u8> {
    use std::io::Write;

    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let mut put = |name: &str, text: &str| {
        archive.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
        archive.write_all(text.as_bytes()).unwrap();
    };
    const MAIN: &str = "http://schemas.openxmlformats.org/spreadsheetml/2006/main";
    const PACKAGE: &str = "http://schemas.openxmlformats.org/package/2006/relationships";
    const RELATIONS: &str = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
    put(
        "_rels/.rels",
        &format!(
            "<Relationships xmlns=\"{PACKAGE}\"><Relationship Id=\"r1\" Type=\"{RELATIONS}/officeDocument\" \
             Target=\"xl/workbook.xml\"/></Relationships>"
        ),
    );
    let (mut list, mut relations) = (String::new(), String::new());
    for (index, (name, rows)) in sheets.iter().enumerate() {
        let number = index + 1;
        list += &format!("<sheet name=\"{name}\" sheetId=\"{number}\" r:id=\"r{number}\"/>");
        relations += &format!(
            "<Relationship Id=\"r{number}\" Type=\"{RELATIONS}/worksheet\" Target=\"worksheets/sheet{number}.xml\"/>"
        );
        put(
            &format!("xl/worksheets/sheet{number}.xml"),
            &format!("<worksheet xmlns=\"{MAIN}\"><sheetData>{rows}</sheetData></worksheet>"),
        );
    }
    put(
        "xl/workbook.xml",
        &format!("<workbook xmlns=\"{MAIN}\" xmlns:r=\"{RELATIONS}\"><sheets>{list}</sheets></workbook>"),
    );
    put(
        "xl/_rels/workbook.xml.rels",
        &format!("<Relationships xmlns=\"{PACKAGE}\">{relations}</Relationships>"),
    );
    archive.finish().unwrap().into_inner()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(cell: &str, text: &str) -> String {
        format!("<c r=\"{cell}\" t=\"inlineStr\"><is><t>{text}</t></is></c>")
    }

    fn list(name: &str) -> String {
        format!(
            "<row r=\"1\">{}{}</row><row r=\"3\">{}<c r=\"C3\"><v>123456789012</v></c></row>",
            word("A1", "Name"),
            word("C1", "Kennung"),
            word("A3", name)
        )
    }

    #[test]
    fn a_sheet_is_read_as_it_looks() {
        let file = write(&[("Leer", ""), ("7a", &list("Ada")), ("7b", &list("Ben"))]);
        let sheet = read(&file, None).unwrap().unwrap();
        assert_eq!((sheet.name.as_str(), sheet.all.join(" ")), ("7a", "7a 7b".to_owned()));
        let cells = |cells: [&str; 3]| Ok(cells.map(str::to_owned).to_vec());
        assert_eq!(
            sheet.rows,
            [
                Row { line: 1, cells: cells(["Name", "", "Kennung"]) },
                Row { line: 3, cells: cells(["Ada", "", "123456789012"]) }
            ]
        );
        let sheet = read(&file, Some("7b")).unwrap().unwrap();
        assert_eq!(sheet.rows[1].cells, cells(["Ben", "", "123456789012"]));
        assert_eq!(read(&file, Some("9z")).err(), Some(ClassListError::Empty));
    }

    #[test]
    fn what_is_no_list_is_told_by_what_it_is() {
        let junk = [b"PK\x03\x04".as_slice(), &[7; 500]].concat();
        for (file, error) in [
            (junk.as_slice(), ClassListError::DamagedWorkbook),
            (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1...", ClassListError::OldWorkbook),
            (b"%PDF-1.7 ...", ClassListError::Document),
            (b" <html><table>", ClassListError::Markup),
            (b"\x89PNG....", ClassListError::NoText),
        ] {
            assert_eq!(read(file, None).err(), Some(error));
        }
        assert!(read(b"PKW;Klasse", None).unwrap().is_none());
        let mut damaged = write(&[("7a", &list("Ada"))]);
        damaged.truncate(damaged.len() - 30);
        assert_eq!(read(&damaged, None).err(), Some(ClassListError::DamagedWorkbook));
    }

    #[test]
    fn a_small_file_that_unpacks_to_much_is_refused() {
        let blanks = " ".repeat(65 * 1024 * 1024);
        let file = write(&[("7a", &blanks)]);
        assert!(file.len() < 200_000, "{}", file.len());
        assert_eq!(read(&file, None).err(), Some(ClassListError::TooLarge));
        let shared = |text: &str| {
            let file = write(&[("7a", &list("Ada"))]);
            let mut archive = zip::ZipWriter::new_append(Cursor::new(file)).unwrap();
            archive.start_file("xl/sharedStrings.xml", zip::write::SimpleFileOptions::default()).unwrap();
            std::io::Write::write_all(&mut archive, text.as_bytes()).unwrap();
            read(&archive.finish().unwrap().into_inner(), None).err()
        };
        assert_eq!(shared("<sst uniqueCount = \"100000000000\"></sst>"), Some(ClassListError::TooLarge));
        assert_eq!(shared("<sst uniqueCount=\"12\"></sst>"), None);
        let many: Vec<String> = (0..=MAX_SHEETS).map(|sheet| sheet.to_string()).collect();
        let many: Vec<(&str, &str)> = many.iter().map(|name| (name.as_str(), "")).collect();
        assert_eq!(read(&write(&many), None).err(), Some(ClassListError::TooLarge));
        let far = format!("<row r=\"1\">{}</row>", word("XFD1", "x"));
        assert_eq!(read(&write(&[("7a", &far)]), None).err(), Some(ClassListError::TooLarge));
        let far = format!("<row r=\"1048576\">{}</row>", word("A1048576", "x"));
        assert_eq!(read(&write(&[("7a", &far)]), None).err(), Some(ClassListError::TooLarge));
    }
}
