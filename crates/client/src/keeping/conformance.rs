//! Both engines do the same, and what a simple list of rows does: whatever is done to them, in whichever order.

use std::ops::ControlFlow;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use redb::backends::InMemoryBackend;

use super::tables::{group_entries, marks, messages, server_logs, set_aside, settings};
use super::*;

/// Kinds of columns: texts, bytes, numbers; small letters may be none.
struct Tested {
    table: &'static Table,
    kinds: &'static str,
}

static TESTED: [Tested; 6] = [
    Tested { table: &settings::TABLE, kinds: "TT" },
    Tested { table: &group_entries::TABLE, kinds: "TIBT" },
    Tested { table: &messages::TABLE, kinds: "TTTTttI" },
    Tested { table: &marks::TABLE, kinds: "TTTTTI" },
    Tested { table: &server_logs::TABLE, kinds: "TIBIBIB" },
    Tested { table: &set_aside::TABLE, kinds: "ITTBbTTIIII" },
];

/// A new file, and one in memory.
fn engines() -> (tempfile::TempDir, [Box<dyn Keep>; 2]) {
    let folder = tempfile::tempdir().unwrap();
    let sqlite = Sqlite::create(folder.path()).unwrap();
    sqlite.set_durability(Durability::Together).unwrap();
    let pages = Pages::open(InMemoryBackend::new(), 1 << 20).unwrap();
    let engines: [Box<dyn Keep>; 2] = [Box::new(sqlite), Box::new(pages)];
    for engine in &engines {
        assert!(!engine.is_made().unwrap());
        engine.make().unwrap();
        engine.make().unwrap();
        engine.upgrade().unwrap();
        assert!(engine.is_made().unwrap());
    }
    (folder, engines)
}

/// What a table does, in the fewest words.
#[derive(Debug, Clone, Default)]
struct Model(Vec<Vec<(i64, Vec<Cell>)>>);

impl Model {
    fn of(&mut self, tested: usize) -> &mut Vec<(i64, Vec<Cell>)> {
        self.0.resize(TESTED.len(), Vec::new());
        &mut self.0[tested]
    }

    fn find(&mut self, tested: usize, key: &[Cell]) -> Option<usize> {
        self.of(tested).iter().position(|(_, row)| row.starts_with(key))
    }

    fn is_taken(&mut self, tested: usize, place: Option<i64>, row: &[Cell]) -> bool {
        let unique = TESTED[tested].table.indexes.iter().filter(|index| index.is_unique);
        let mut all = Vec::new();
        for index in unique {
            let of =
                |row: &[Cell]| index.columns.iter().map(|at| row[at.index()].clone()).collect::<Vec<_>>();
            all.extend(
                self.of(tested).iter().map(|(other, own)| (Some(*other) != place) && of(own) == of(row)),
            );
        }
        all.contains(&true)
    }

    fn insert(&mut self, tested: usize, mut row: Vec<Cell>) -> bool {
        let table = TESTED[tested].table;
        let place = self.of(tested).iter().map(|(place, _)| *place).max().unwrap_or(0) + 1;
        if table.is_numbered {
            row[0] = Cell::Integer(place);
        }
        if self.find(tested, &row[..table.key.into()]).is_some() || self.is_taken(tested, None, &row) {
            return false;
        }
        self.of(tested).push((place, row));
        true
    }

    fn put(&mut self, tested: usize, row: Vec<Cell>) {
        match self.find(tested, &row[..TESTED[tested].table.key.into()]) {
            Some(at) => self.of(tested)[at].1 = row,
            None => assert!(self.insert(tested, row)),
        }
    }

    /// `None` when another row has what must be unique.
    fn set(&mut self, tested: usize, key: &[Cell], cells: &[(Column, Cell)]) -> Option<bool> {
        let Some(at) = self.find(tested, key) else { return Some(false) };
        let (place, mut row) = self.of(tested)[at].clone();
        for (column, cell) in cells {
            row[column.index()] = cell.clone();
        }
        if self.is_taken(tested, Some(place), &row) {
            return None;
        }
        self.of(tested)[at].1 = row;
        Some(true)
    }

    fn scan(&mut self, tested: usize, scan: &Scan<'_>, columns: &[Column]) -> Vec<Vec<Cell>> {
        let order = scan.columns(TESTED[tested].table);
        let mut rows = self.of(tested).clone();
        let by = |row: &[Cell]| order.iter().map(|column| row[column.index()].clone()).collect::<Vec<_>>();
        rows.retain(|(_, row)| by(row).starts_with(scan.prefix));
        if let (Some(from), Some(column)) = (&scan.from, order.get(scan.prefix.len())) {
            rows.retain(|(_, row)| match scan.direction {
                Direction::Up => row[column.index()] >= *from,
                Direction::Down => row[column.index()] <= *from,
            });
        }
        if let Some(Filter { column, cell, is }) = &scan.filter {
            rows.retain(|(_, row)| (row[column.index()] == *cell) == *is);
        }
        rows.sort_by_key(|(place, row)| (by(row), *place));
        if scan.direction == Direction::Down {
            rows.reverse();
        }
        rows.into_iter()
            .map(|(_, row)| columns.iter().map(|column| wanted(&row, *column)).collect())
            .collect()
    }
}

fn wanted(row: &[Cell], column: Column) -> Cell {
    match &row[column.index()] {
        Cell::Text(text) if column.is_length => Cell::Integer(text.len() as i64),
        Cell::Bytes(bytes) if column.is_length => Cell::Integer(bytes.len() as i64),
        cell => cell.clone(),
    }
}

fn all<E: Keep + ?Sized>(engine: &E, tested: usize, scan: Scan<'_>, columns: &[Column]) -> Vec<Vec<Cell>> {
    let mut found = Vec::new();
    engine
        .scan(TESTED[tested].table, scan, columns, &mut |row| {
            found.push(columns.iter().map(|_| row.cell()).collect::<Result<_>>()?);
            Ok(ControlFlow::Continue(()))
        })
        .unwrap();
    found
}

#[derive(Debug, Clone)]
enum Step {
    Insert(usize, Vec<Cell>),
    Put(usize, Vec<Cell>),
    Set(usize, Vec<Cell>, Vec<(Column, Cell)>),
    Remove(usize, Vec<Cell>),
    /// Key or index, how much of it is named, of which row, whether it begins there, the direction, and what is left out.
    Scan(usize, usize, usize, Vec<Cell>, bool, Direction, Vec<Column>, Option<(Column, bool)>),
    Begin,
    Commit,
    Rollback,
}

/// Few values, so that they meet; some long enough to stand apart, and some that are hard to order.
fn cell(kind: char) -> BoxedStrategy<Cell> {
    let text = || select(vec!["", "a", "a\0", "a\0b", "ab", "ä"]).prop_map(Cell::from);
    let long =
        (126..131_usize).prop_map(|length| Cell::Text("ä".repeat(length / 2) + &"x".repeat(length % 2)));
    match kind {
        'T' => prop_oneof![6 => text(), 1 => long].boxed(),
        'I' => prop_oneof![-1..3i64, Just(i64::MAX), Just(i64::MIN)].prop_map(Cell::Integer).boxed(),
        'B' => prop_oneof![
            4 => select(vec![vec![], vec![0], vec![0, 255], vec![0, 1], vec![255]]),
            1 => (127..131_usize).prop_map(|length| vec![7; length]),
        ]
        .prop_map(Cell::Bytes)
        .boxed(),
        kind => prop_oneof![Just(Cell::Null), cell(kind.to_ascii_uppercase())].boxed(),
    }
}

fn row(tested: usize) -> BoxedStrategy<Vec<Cell>> {
    let Tested { table, kinds } = &TESTED[tested];
    let cells: Vec<_> = kinds.chars().map(cell).collect();
    let is_numbered = table.is_numbered;
    let number = |row: &mut Vec<Cell>| row[0] = Cell::Null;
    cells
        .prop_map(move |mut row| {
            if is_numbered {
                number(&mut row)
            };
            row
        })
        .boxed()
}

/// A key; of a numbered table one of the first.
fn key(tested: usize) -> BoxedStrategy<Vec<Cell>> {
    let table = TESTED[tested].table;
    if table.is_numbered {
        return (1..6i64).prop_map(|number| vec![Cell::Integer(number)]).boxed();
    }
    row(tested).prop_map(|row| row[..table.key.into()].to_vec()).boxed()
}

fn column(tested: usize, first: u8) -> BoxedStrategy<Column> {
    let count = u8::try_from(TESTED[tested].table.columns.len()).unwrap();
    (first..count).prop_map(Column::at).boxed()
}

fn wanted_column(tested: usize) -> BoxedStrategy<Column> {
    let has_length = move |column: Column| !TESTED[tested].kinds[column.index()..].starts_with('I');
    (column(tested, 0), any::<bool>())
        .prop_map(
            move |(column, is_length)| if is_length && has_length(column) { column.length() } else { column },
        )
        .boxed()
}

fn set(tested: usize) -> BoxedStrategy<Step> {
    let first = TESTED[tested].table.key;
    let change =
        (column(tested, first), row(tested)).prop_map(|(column, row)| (column, row[column.index()].clone()));
    (key(tested), vec(change, 1..3))
        .prop_map(move |(key, mut cells)| {
            cells.dedup_by_key(|(column, _)| column.place);
            Step::Set(tested, key, cells)
        })
        .boxed()
}

fn step() -> impl Strategy<Value = Step> {
    (0..TESTED.len()).prop_flat_map(|tested| {
        let direction = any::<bool>().prop_map(|is_up| if is_up { Direction::Up } else { Direction::Down });
        let scan = (
            0..4_usize,
            0..3_usize,
            row(tested),
            any::<bool>(),
            direction,
            vec(wanted_column(tested), 0..4),
            prop::option::of((column(tested, 0), any::<bool>())),
        )
            .prop_map(move |(by, length, row, begins, direction, columns, filter)| {
                Step::Scan(tested, by, length, row, begins, direction, columns, filter)
            });
        prop_oneof![
            8 => row(tested).prop_map(move |row| Step::Insert(tested, row)),
            4 => row(tested).prop_map(move |row| Step::Put(tested, row)),
            6 => set(tested),
            3 => key(tested).prop_map(move |key| Step::Remove(tested, key)),
            8 => scan,
            2 => Just(Step::Begin),
            1 => Just(Step::Commit),
            1 => Just(Step::Rollback),
        ]
    })
}

fn take(engine: &dyn Keep, step: &Step, model: &mut Model, before: &mut Option<Model>) {
    match step.clone() {
        Step::Insert(tested, row) => {
            let expected = model.insert(tested, row.clone());
            assert_eq!(engine.insert(TESTED[tested].table, row).unwrap(), expected);
        }
        Step::Put(tested, row) if !TESTED[tested].table.is_numbered => {
            model.put(tested, row.clone());
            engine.put(TESTED[tested].table, row).unwrap();
        }
        Step::Put(..) => {}
        Step::Set(tested, key, cells) => {
            let expected = model.set(tested, &key, &cells);
            match engine.set(TESTED[tested].table, &key, cells) {
                Err(KeepError::Unfit(_)) => assert_eq!(expected, None),
                found => assert_eq!(Some(found.unwrap()), expected),
            }
        }
        Step::Remove(tested, key) => {
            let found = model.find(tested, &key);
            let all: Vec<_> = (0..).map(Column::at).take(TESTED[tested].kinds.len()).collect();
            let row = engine.row(TESTED[tested].table, &key, &all).unwrap();
            let row = row.map(|mut row| all.iter().map(|_| row.cell().unwrap()).collect::<Vec<_>>());
            assert_eq!(row, found.map(|at| model.of(tested)[at].1.clone()));
            found.into_iter().for_each(|at| drop(model.of(tested).remove(at)));
            assert_eq!(engine.remove(TESTED[tested].table, &key).unwrap(), found.is_some());
        }
        Step::Scan(tested, by, length, row, begins, direction, columns, filter) => {
            let table = TESTED[tested].table;
            let indexes: Vec<_> = table.indexes.iter().filter(|index| !index.is_unique).collect();
            let mut scan = match by {
                0 => Scan::by_arrival(),
                by if by == 1 || indexes.is_empty() => Scan::by_key(&[]),
                by => Scan::by_index(indexes[by % indexes.len()], &[]),
            };
            let order = scan.columns(table);
            let prefix: Vec<_> =
                order.iter().take(length).map(|column| row[column.index()].clone()).collect();
            scan.prefix = &prefix;
            scan.filter = filter.map(|(column, is)| Filter { column, cell: row[column.index()].clone(), is });
            scan.direction = direction;
            let from = order.get(prefix.len()).filter(|_| begins).map(|column| row[column.index()].clone());
            // SQL finds nothing that compares with none.
            scan.from = from.filter(|from| *from != Cell::Null);
            if prefix.contains(&Cell::Null) {
                return;
            }
            let expected = model.scan(tested, &scan, &columns);
            assert_eq!(all(engine, tested, scan, &columns), expected);
        }
        Step::Begin => {
            assert_eq!(engine.begin().is_ok(), before.is_none());
            before.get_or_insert_with(|| model.clone());
        }
        Step::Commit => {
            assert_eq!(engine.commit().is_ok(), before.is_some());
            *before = None;
        }
        Step::Rollback => {
            assert_eq!(engine.rollback().is_ok(), before.is_some());
            *model = before.take().unwrap_or_else(|| model.clone());
        }
    }
    assert_eq!(engine.is_in_transaction(), before.is_some());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn both_engines_do_what_a_list_of_rows_does(steps in vec(step(), 1..60)) {
        let (_folder, engines) = engines();
        for engine in &engines {
            let (mut model, mut before) = (Model::default(), None);
            for step in &steps {
                take(&**engine, step, &mut model, &mut before);
            }
            for (tested, Tested { kinds, .. }) in TESTED.iter().enumerate() {
                let columns: Vec<_> = (0..).map(Column::at).take(kinds.len()).collect();
                let expected = model.scan(tested, &Scan::by_arrival(), &columns);
                prop_assert_eq!(all(&**engine, tested, Scan::by_arrival(), &columns), expected);
            }
        }
    }
}

#[test]
fn a_visitor_breaks_off_and_its_error_is_told() {
    let (_folder, engines) = engines();
    for engine in engines {
        for name in ["a", "b", "c"] {
            assert!(engine.insert(&settings::TABLE, vec![name.into(), "1".into()]).unwrap());
        }
        let mut seen = Vec::new();
        let names = [settings::NAME];
        engine
            .scan(&settings::TABLE, Scan::by_key(&[]), &names, &mut |row| {
                seen.push(row.text()?);
                Ok(if seen.len() == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
            })
            .unwrap();
        assert_eq!(seen, ["a", "b"]);
        let told = engine.scan(&settings::TABLE, Scan::by_key(&[]), &names, &mut |row| {
            row.text()?;
            row.text().map(|_| ControlFlow::Continue(()))
        });
        assert!(matches!(told, Err(KeepError::Failed(_))));
        // A value that no column holds is refused by both alike.
        assert!(engine.insert(&settings::TABLE, vec!["d".into()]).is_err());
        assert_eq!(all(&*engine, 0, Scan::by_arrival(), &names).len(), 3);
        engine.discard().unwrap();
    }
}

#[test]
fn pages_of_a_newer_version_are_refused_and_left_alone() {
    let pages = Pages::open(InMemoryBackend::new(), 1 << 20).unwrap();
    assert!(matches!(pages.upgrade(), Err(KeepError::Version)));
    pages.make_as(u64::from(tables::VERSION) + 1).unwrap();
    assert!(pages.is_made().unwrap());
    assert!(matches!(pages.upgrade(), Err(KeepError::Version)));
    assert!(matches!(pages.make(), Err(KeepError::Version)));
}
