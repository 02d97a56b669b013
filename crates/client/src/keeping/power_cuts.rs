//! A power cut at every moment: what was brought to the disk is there afterwards, and nothing is there in part.

use std::ops::ControlFlow;

use super::disk::Disk;
use super::tables::{inbox, mceliece_keys, set_aside, settings};
use super::*;

/// Everything that stands in the tables of the story.
fn contents(pages: &Pages) -> Vec<String> {
    let mut all = Vec::new();
    for table in [&settings::TABLE, &inbox::TABLE, &mceliece_keys::TABLE, &set_aside::TABLE] {
        let columns: Vec<_> = (0..).map(Column::at).take(table.columns.len()).collect();
        for scan in [Scan::by_arrival(), Scan::by_key(&[])] {
            pages
                .scan(table, scan, &columns, &mut |row| {
                    all.push(format!("{} {row:?}", table.name));
                    Ok(ControlFlow::Continue(()))
                })
                .unwrap();
        }
    }
    all
}

fn aside(number: u8, length: usize) -> Vec<Cell> {
    let delivery = "x".repeat(length);
    let zero = Cell::Integer(0);
    vec![
        Cell::Null,
        "s".into(),
        "g".into(),
        [number; 32].into(),
        Cell::Null,
        delivery.into(),
        "r".into(),
        zero.clone(),
        zero.clone(),
        zero.clone(),
        zero,
    ]
}

/// What a program does; after each step `note` hears whether it is on the disk for sure.
fn story(pages: &Pages, note: &mut dyn FnMut(Durability)) -> Result<()> {
    use Durability::{AtOnce, Together};
    pages.insert(&settings::TABLE, vec!["a".into(), "1".into()])?;
    note(AtOnce);
    pages.insert(&mceliece_keys::TABLE, vec![[1; 64].into(), vec![7; 30_000].into()])?;
    note(AtOnce);
    pages.begin()?;
    for number in 0..3 {
        pages.insert(&set_aside::TABLE, aside(number, 3_000))?;
    }
    pages.put(&settings::TABLE, vec!["a".into(), "2".into()])?;
    pages.commit()?;
    note(AtOnce);
    pages.set_durability(Together)?;
    for number in 0..4 {
        let id = number.to_string();
        pages.insert(&inbox::TABLE, vec!["s".into(), id.into(), "text".into(), Cell::Integer(0)])?;
        note(Together);
        pages.remove(&set_aside::TABLE, &[Cell::Integer(number)])?;
        note(Together);
    }
    pages.set_durability(AtOnce)?;
    pages.put(&settings::TABLE, vec!["brought".into(), "1".into()])?;
    note(AtOnce);
    pages.remove(&mceliece_keys::TABLE, &[[1; 64].into()])?;
    note(AtOnce);
    pages.insert(&set_aside::TABLE, aside(9, 50_000))?;
    note(AtOnce);
    Ok(())
}

fn open(disk: &Disk) -> Result<Pages> {
    Pages::open(disk.clone(), 1 << 20)
}

#[test]
fn after_a_power_cut_everything_is_there_that_was_brought_to_the_disk() {
    let made = Disk::holding(Vec::new(), usize::MAX);
    open(&made).unwrap().make().unwrap();
    let made = made.seen();

    let pages = open(&Disk::holding(made.clone(), usize::MAX)).unwrap();
    let mut chapters = vec![contents(&pages)];
    story(&pages, &mut |_| chapters.push(contents(&pages))).unwrap();

    for cut_at in 0.. {
        let disk = Disk::holding(made.clone(), cut_at);
        // How far the story was told, and how far it was on the disk for sure.
        let (mut told, mut brought) = (0, 0);
        if let Ok(pages) = open(&disk) {
            let _ = story(&pages, &mut |durability| {
                told += 1;
                if durability == Durability::AtOnce {
                    brought = told;
                }
            });
        }
        // What was under way when the power was cut may be there as well.
        let last = chapters.len() - 1;
        let possible = &chapters[brought..=last.min(told + 1)];
        for bytes in disk.remains() {
            let again = open(&Disk::holding(bytes, usize::MAX)).unwrap();
            again.upgrade().unwrap();
            let found = contents(&again);
            assert!(
                possible.contains(&found),
                "cut at {cut_at}, after {told}, {brought} of it on the disk: {found:?}"
            );
            again.put(&settings::TABLE, vec!["after".into(), "1".into()]).unwrap();
        }
        if !disk.was_cut() {
            assert!(told == last && cut_at > 100, "{cut_at}");
            return;
        }
    }
}
