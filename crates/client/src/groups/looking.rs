//! Group keys that wait unread.

use std::time::Duration;

use momedo_protocol::cursor::Cursor;
use momedo_protocol::limits::MAX_OZONE_PAGE;
use momedo_protocol::message::{KIND_GROUP_KEY, Message};

use crate::ClientError;
use crate::opening::open;
use crate::profile::Profile;
use crate::queue_place::cursor_name;
use crate::session::Session;

/// Pages looked through for group keys before something is sealed.
const KEY_PAGES: usize = 20;

/// Takes group keys out of what waits, without showing or acknowledging anything: whoever writes before reading
/// must not make a new key because of that.
pub(crate) async fn look_for_group_keys(profile: &Profile, session: &mut Session) -> Result<(), ClientError> {
    let mut after: Option<Cursor> = profile.get(&cursor_name(profile, session)?)?;
    for _ in 0..KEY_PAGES {
        let page = session.ozone(after, MAX_OZONE_PAGE, Duration::ZERO).await?;
        for delivery in &page.messages {
            let Some((inner, _)) = open(profile, delivery).await? else { continue };
            let Ok(claimed) = Message::unverified(&inner) else { continue };
            let says_the_same = claimed.from == delivery.from && claimed.to == Some(session.id);
            if claimed.kind == KIND_GROUP_KEY && says_the_same && claimed.id == delivery.id {
                // The chain says by its commitment which keys count, so whoever it is from.
                super::key_store::take(profile, &claimed)?;
            }
        }
        if page.messages.is_empty() {
            break;
        }
        after = Some(page.cursor);
    }
    Ok(())
}
