//! The menu beside every page: what belongs together stands together, what is used every day stands first.

/// A heading of the menu and what stands under it.
pub(super) struct Section {
    /// Its heading; empty: none.
    pub(super) title: &'static str,
    pub(super) entries: &'static [Entry],
}

/// A page of the menu.
pub(super) struct Entry {
    /// What the page calls itself ([`super::page::Page::is`]).
    pub(super) name: &'static str,
    /// Its title.
    pub(super) title: &'static str,
    pub(super) path: &'static str,
    /// The lines of its picture, 24 wide and high, as SVG has them.
    pub(super) picture: &'static str,
    /// Whether class leads have no use for it.
    pub(super) is_for_admins: bool,
}

const fn entry(
    name: &'static str,
    title: &'static str,
    path: &'static str,
    is_for_admins: bool,
    picture: &'static str,
) -> Entry {
    Entry { name, title, path, picture, is_for_admins }
}

/// The whole menu.
pub(super) const MENU: [Section; 5] = [
    Section {
        title: "",
        entries: &[entry(
            "overview",
            "nav.overview",
            "/admin",
            true,
            "M3 11l9-8 9 8M5 10v10h14V10M10 20v-6h4v6",
        )],
    },
    Section {
        title: "menu.people",
        entries: &[
            entry(
                "participants",
                "nav.participants",
                "/admin/participants",
                false,
                "M9 11a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM2 21c0-4 3-7 7-7s7 3 7 7M16 3.500a4 4 0 0 1 0 7M18.500 14.500c2.200 1 3.500 3.500 3.500 6.500",
            ),
            entry(
                "classes",
                "nav.classes",
                "/admin/classes",
                false,
                "M3 4h18v12H3zM8 21l2-5M16 21l-2-5M7 8h6M7 12h9",
            ),
            entry(
                "groups",
                "nav.groups",
                "/admin/groups",
                true,
                "M3 4h12v8H9l-4 3v-3H3zM18 9h3v8h-1v3l-4-3h-6v-2",
            ),
            entry("reports", "nav.reports", "/admin/reports", false, "M5 21V4h13l-2.500 4.500L18 13H5"),
        ],
    },
    Section {
        title: "menu.mail",
        entries: &[
            entry("ozones", "nav.ozones", "/admin/ozones", true, "M3 13l3-8h12l3 8v6H3zM3 13h5l1 3h6l1-3h5"),
            entry(
                "keys",
                "nav.keys",
                "/admin/keys",
                true,
                "M7 16a4 4 0 1 1 3.700-5.500H21v3h-2v2.500h-3v-2.500h-5.300A4 4 0 0 1 7 16z",
            ),
            entry(
                "neighbours",
                "nav.neighbours",
                "/admin/neighbours",
                true,
                "M2 20v-8l5-4 5 4v8zM15 8l2-1.500 5 4V20h-7",
            ),
        ],
    },
    Section {
        title: "menu.server",
        entries: &[
            entry("backup", "nav.backup", "/admin/backup", true, "M4 4h13l3 3v13H4zM8 4v5h7V4M8 20v-6h8v6"),
            entry(
                "rules",
                "nav.rules",
                "/admin/rules",
                true,
                "M4 7h8M18 7h2M4 17h2M12 17h8M15 9.500a2.500 2.500 0 1 0 0-5 2.500 2.500 0 0 0 0 5zM9 19.500a2.500 2.500 0 1 0 0-5 2.500 2.500 0 0 0 0 5z",
            ),
            entry(
                "listeners",
                "nav.listeners",
                "/admin/listeners",
                true,
                "M6 21V3h12v18M3 21h18M14.500 12v.5",
            ),
            entry(
                "certificates",
                "nav.certificates",
                "/admin/certificates",
                true,
                "M12 3l8 3v6c0 5-3.500 8-8 9-4.500-1-8-4-8-9V6zM8.500 12l2.500 2.500 4.500-5",
            ),
            entry(
                "log",
                "nav.log",
                "/admin/log",
                true,
                "M9 6h11M9 12h11M9 18h11M4.500 6v.1M4.500 12v.1M4.500 18v.1",
            ),
        ],
    },
    Section {
        title: "menu.help",
        entries: &[
            entry(
                "help",
                "nav.help",
                "/admin/help",
                false,
                "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18zM9.500 9.500a2.500 2.500 0 1 1 3.600 2.200c-.8.4-1.100 1-1.100 2M12 17v.1",
            ),
            entry(
                "about",
                "nav.about",
                "/admin/about",
                false,
                "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18zM12 11v6M12 7.500v.1",
            ),
        ],
    },
];
