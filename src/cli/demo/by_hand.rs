//! The samples that no message brings: what the app uploaded, images of the dictionary, and a key
//! that is asked for at the wrong place.

use std::sync::Arc;

use super::{Awaited, SEED};
use crate::archive::asker::Asker;
use crate::archive::command::Commands;
use crate::catalogue::Catalogue;
use crate::catalogue::resources::Take;
use crate::clock::Clock;
use crate::domain::actor::Actor;
use crate::domain::app::AppKind;
use crate::domain::id::AppId;
use crate::domain::reason::ReasonCode;
use crate::domain::source::Target;
use crate::sandbox::kind::Expected;
use crate::sandbox::samples::{Media, Origin};

/// Asks for each sample as the API does: its row is made, and the worker is told.
pub(super) async fn order(
    catalogue: &Catalogue,
    app_id: AppId,
    wake: &Arc<dyn Fn() + Send + Sync>,
) -> anyhow::Result<Vec<Awaited>> {
    let (asker, mut awaited) = (Asker::new(app_id, AppKind::Custom), Vec::new());
    let commands = Commands::of(Actor::System, catalogue, Clock::system().now());
    for (sample, target, expected) in samples()? {
        commands.order(&asker, &target, Take::Pending).await?;
        wake();
        awaited.push(Awaited { sample, message_id: None, expected });
    }
    Ok(awaited)
}

fn samples() -> anyhow::Result<Vec<(&'static str, Target, Expected)>> {
    let image = Expected::by_hand(Media::Png, Origin::Uploaded, SEED);
    let file = Expected::by_hand(Media::Zip, Origin::Uploaded, SEED);
    let baike = Expected::by_hand(Media::Png, Origin::Dictionary, SEED + 1);
    let lingo = Expected::by_hand(Media::Png, Origin::Dictionary, SEED + 2);
    let foreign = Expected::by_hand(Media::Png, Origin::Sent, SEED + 5);
    let refused = ReasonCode::NotOwner;
    let foreign = Expected { state: refused.state(), reason_code: Some(refused), sha256: None, ..foreign };
    Ok(vec![
        ("own_image", Target::Image { key: image.key.parse()? }, image),
        ("own_file", Target::File { key: file.key.parse()? }, file),
        ("baike", Target::Baike { key: baike.key.parse()? }, baike),
        ("lingo", Target::Lingo { key: lingo.key.parse()? }, lingo),
        ("not_own_image", Target::Image { key: foreign.key.parse()? }, foreign),
    ])
}
