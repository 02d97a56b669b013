//! What comes in for another home: kept, and passed on to the neighbour that leads there.

use momedo_protocol::digest::Fingerprint;
use momedo_protocol::link::{Batch, Frame, HEADER_BYTES, NoWay};

use super::receiving::{Checked, FULL_SECONDS};
use crate::service::ServiceError;
use crate::state::AppState;
use crate::store::NeighbourRow;

/// Keeps a batch for another home, to be passed on.
pub(super) async fn relay(
    app: &AppState,
    neighbour: NeighbourRow,
    checked: Checked,
) -> Result<Frame, ServiceError> {
    let Checked { id, header, batch, .. } = checked;
    let undeliverable = |reason| Frame::Undeliverable { batch: id, reason };
    if !neighbour.contract.hop_through {
        return Ok(undeliverable(NoWay::NotAllowedAcross));
    }
    let Some(hops) = batch.hops.checked_sub(1) else { return Ok(undeliverable(NoWay::TooFar)) };
    let (source, home, queue_bytes) = (neighbour.id, header.home, neighbour.contract.queue_bytes);
    enum Taken {
        Before(Vec<u8>),
        Over(Fingerprint),
        NoWay(NoWay),
        Full,
    }
    let frame = Frame::Batch(Box::new(Batch { hops, ..batch })).encode();
    let taken = app
        .store
        .write_decided(move |tx| {
            if let Some(known) = tx.find_relayed(&id)? {
                // Known from another side: then this one is a loop or a second way, and the first one counts.
                if known.source != source {
                    return Ok(Taken::NoWay(NoWay::TooFar));
                }
                let answer = Taken::Before(known.frame);
                return Ok(if known.answered { answer } else { Taken::Over(known.via) });
            }
            let direct = tx.find_neighbour(home)?.filter(NeighbourRow::is_paired).map(|row| row.id);
            let via = match direct {
                Some(via) => via,
                None => match tx.way_to_home(home)? {
                    Some(via) => via,
                    None => return Ok(Taken::NoWay(NoWay::NoRoute)),
                },
            };
            if via == source {
                return Ok(Taken::NoWay(NoWay::TooFar));
            }
            let next = tx.find_neighbour(via)?;
            if !next.is_some_and(|row| row.is_paired() && row.contract.hop_through) {
                return Ok(Taken::NoWay(NoWay::NotAllowedAcross));
            }
            let (all, over) = tx.relayed_bytes(source, via)?;
            let size = frame.len() as u64;
            // One that answers nothing keeps nobody's mail from all others.
            if all + size > queue_bytes || over + size > queue_bytes / 2 {
                return Ok(Taken::Full);
            }
            tx.insert_relayed(&id, source, home, via, &frame)?;
            Ok::<_, ServiceError>(Taken::Over(via))
        })
        .await?;
    Ok(match taken {
        Taken::Before(answer) => decoded(&answer).unwrap_or(Frame::Taken { batch: id }),
        Taken::Over(via) => {
            app.links.wake(via);
            Frame::Taken { batch: id }
        }
        Taken::NoWay(reason) => undeliverable(reason),
        Taken::Full => Frame::Busy { batch: id, retry_after: FULL_SECONDS },
    })
}

/// A frame that was kept encoded.
fn decoded(bytes: &[u8]) -> Option<Frame> {
    Frame::decode(*bytes.first()?, bytes.get(HEADER_BYTES..)?).ok()
}
