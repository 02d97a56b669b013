//! Dependencies of the use cases, and of the client, go one way: at most three files know each other.

use std::collections::{BTreeMap, BTreeSet};

use super::rooms::files_of;

/// The largest number of files that reach each other.
const LARGEST: usize = 3;

/// `a::{b, c::{self, d}}` as `a::b`, `a::c`, `a::c::d`.
fn expanded(tree: &str) -> Vec<String> {
    let tree = tree.trim();
    let Some((before, rest)) = tree.split_once('{') else {
        return vec![tree.split(" as ").next().unwrap().trim_end_matches("::self").to_owned()];
    };
    let inside = rest.strip_suffix('}').unwrap_or(rest);
    let (mut depth, mut parts) = (0, vec![String::new()]);
    for c in inside.chars() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if c == ',' && depth == 0 {
            parts.push(String::new());
        } else {
            parts.last_mut().unwrap().push(c);
        }
    }
    let parts = parts.iter().map(|part| part.trim()).filter(|part| !part.is_empty());
    parts.flat_map(|part| expanded(&format!("{before}{part}"))).collect()
}

/// Every path that a file names, from the root of the program on.
fn named(module: &str, text: &str) -> Vec<String> {
    let mut paths = Vec::new();
    for part in text.split("use ").skip(1) {
        paths.extend(expanded(&part.split(';').next().unwrap().replace('\n', " ")));
    }
    for start in ["super::", "crate::"] {
        for (at, _) in text.match_indices(start) {
            let path = text[at..].split(|c: char| !c.is_alphanumeric() && c != '_' && c != ':').next();
            paths.push(path.unwrap().trim_end_matches(':').to_owned());
        }
    }
    let absolute = |path: String| {
        let mut parts: Vec<&str> = module.split("::").collect();
        let mut path = path.as_str();
        while let Some(rest) = path.strip_prefix("super::") {
            parts.pop();
            path = rest;
        }
        match path.strip_prefix("crate::") {
            Some(rest) => rest.to_owned(),
            None => [parts.join("::").as_str(), path].join("::"),
        }
    };
    paths
        .into_iter()
        .filter(|path| path.starts_with("super::") || path.starts_with("crate::"))
        .map(absolute)
        .collect()
}

/// The circles of more than [`LARGEST`] files among those of a folder whose module begins with `within`.
fn circles(folder: &str, within: &str, least_files: usize, least_arrows: usize) -> BTreeSet<Vec<String>> {
    let modules: BTreeMap<String, String> = files_of(folder)
        .into_iter()
        .filter_map(|(file, text)| {
            let module = file.trim_end_matches(".rs").trim_end_matches("/mod").replace('/', "::");
            (module.starts_with(within) && module != "lib").then_some((module, text))
        })
        .collect();
    let known: BTreeMap<&str, BTreeSet<&str>> = modules
        .iter()
        .map(|(module, text)| {
            let owner = |path: String| {
                let ends = path.match_indices("::").map(|(at, _)| at).chain([path.len()]);
                let longest = ends.filter_map(|end| modules.get_key_value(&path[..end])).last();
                longest.map(|(name, _)| name.as_str())
            };
            let all = named(module, text).into_iter().filter_map(owner);
            (module.as_str(), all.filter(|other| other != module).collect())
        })
        .collect();
    let arrows = known.values().map(BTreeSet::len).sum::<usize>();
    assert!(known.len() > least_files && arrows > least_arrows, "nothing was read");
    let mut reach: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for module in known.keys() {
        let (mut reached, mut next) = (BTreeSet::new(), vec![*module]);
        while let Some(module) = next.pop() {
            next.extend(known[module].iter().filter(|other| reached.insert(**other)));
        }
        reach.insert(module, reached);
    }
    reach
        .iter()
        .map(|(module, all)| {
            all.iter().filter(|other| reach[*other].contains(module)).map(|other| (*other).to_owned())
        })
        .map(Iterator::collect::<Vec<_>>)
        .filter(|circle| circle.len() > LARGEST)
        .collect()
}

#[test]
fn use_cases_know_each_other_in_one_direction() {
    let circles = circles("src", "service::", 60, 200);
    assert!(circles.is_empty(), "files that all know each other: {circles:#?}");
}

#[test]
fn what_the_client_decides_stands_on_what_it_keeps_and_not_the_other_way_round() {
    let circles = circles("crates/client/src", "", 80, 300);
    assert!(circles.is_empty(), "files that all know each other: {circles:#?}");
}
