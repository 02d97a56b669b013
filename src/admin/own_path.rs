//! Where the pages may lead somebody: to themselves.

/// Longest path somebody is led to, in bytes.
const MAX_OWN_PATH: usize = 2_000;

/// Only paths of these pages: nobody is led elsewhere from here, and no path is a header line.
pub(super) fn own_path(path: &str) -> &str {
    let place = path.split(['?', '#']).next().unwrap_or_default();
    // A browser resolves these itself, encoded ones too, and would be out of these pages.
    let is_dots = |part: &str| matches!(&*part.to_ascii_lowercase().replace("%2e", "."), "." | "..");
    let is_own = (place == "/admin" || place.starts_with("/admin/"))
        && path.len() <= MAX_OWN_PATH
        && path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\')
        && !place.contains("//")
        && !place.split('/').any(is_dots);
    if is_own { path } else { "/admin" }
}

#[cfg(test)]
mod tests {
    use super::own_path;

    #[test]
    fn nobody_is_led_away() {
        for path in [
            "https://elsewhere",
            "//elsewhere",
            "/admin//elsewhere",
            "/admin\\elsewhere",
            "/i",
            "/adminx",
            "/admin/../i",
            "/admin/log/%2E%2e/%2e./i",
            "/admin/.",
            "/admin/a b",
            "/admin/a\r\nb",
            "",
        ] {
            assert_eq!(own_path(path), "/admin", "{path}");
        }
        for path in [
            "/admin",
            "/admin/log?search=a//..&page=2",
            "/admin?next=x",
            "/admin/backup#restore",
            "/admin/.a/..b",
        ] {
            assert_eq!(own_path(path), path);
        }
    }
}
