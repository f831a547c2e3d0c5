//! Follows one device: chooses a frame now and then, and waits for its picture and its answer.

use std::{collections::HashMap, sync::Arc, time::Duration};

use autotiler_core::{
    DeviceId,
    wire::{Answer, FrameHeader},
};
use autotiler_hevc::{BadParameterSets, ParameterDigest, ParameterSets};
use autotiler_transport::{Connection, ParameterError, Seen, Tap, request_parameters};
use bytes::Bytes;
use tokio::{
    sync::{oneshot, watch},
    time::{Instant, sleep_until},
};

use super::{
    ClassNames, Image, Shot,
    studio::{DevelopError, Film, Studio},
};

/// Shortest time between two frames that are shown.
const PACE: Duration = Duration::from_millis(200);
/// Longest wait for a frame's answer and its picture.
const PATIENCE: Duration = Duration::from_secs(2);
/// Longest wait for parameter sets.
const SETS_WITHIN: Duration = Duration::from_secs(1);
/// Parameter sets that are kept of a device.
const MOST_SETS: usize = 8;

/// Why a frame is not shown as a picture.
#[derive(Debug, thiserror::Error)]
enum NoPicture {
    #[error(transparent)]
    Request(#[from] ParameterError),
    #[error("reading the parameter sets")]
    Bad(#[from] BadParameterSets),
    #[error("the device gave parameter sets {got} instead of {expected}")]
    Other { expected: ParameterDigest, got: ParameterDigest },
    #[error("too many frames wait to be shown")]
    NoRoom,
}

/// The frame that was chosen.
struct Chosen {
    header: FrameHeader,
    bytes: usize,
    until: Instant,
    developing: Option<oneshot::Receiver<Result<Image, DevelopError>>>,
    image: Option<Image>,
    answer: Option<Answer>,
}

/// What the loop has to do next.
enum Next {
    Seen(Seen),
    Developed(Result<Result<Image, DevelopError>, oneshot::error::RecvError>),
    Late,
}

/// Shows `device` until the connection is closed.
pub(super) async fn look(
    connection: &Connection,
    device: &DeviceId,
    studio: &Studio,
    names: &ClassNames,
    shots: &watch::Sender<Option<Arc<Shot>>>,
) {
    let mut tap = match Tap::subscribe(connection, device).await {
        Ok(tap) => tap,
        Err(error) => {
            tracing::warn!(%error, %device, "looking on");
            return;
        }
    };
    let mut sets = HashMap::new();
    let mut chosen: Option<Chosen> = None;
    let mut due = Instant::now();
    while let Some(next) = next(&mut tap, chosen.as_mut()).await {
        match next {
            Next::Seen(Seen::Frame(message)) if chosen.is_none() && Instant::now() >= due => {
                due = Instant::now() + PACE;
                chosen = choose(connection, device, studio, &mut sets, &message).await;
            }
            Next::Seen(Seen::Frame(_)) => {}
            Next::Seen(Seen::Answer(message)) => {
                if let (Some(chosen), Ok(answer)) = (chosen.as_mut(), Answer::decode(&message)) {
                    chosen.hear(answer);
                }
            }
            Next::Developed(result) => {
                let Some(chosen) = chosen.as_mut() else { continue };
                chosen.developing = None;
                match result {
                    Ok(Ok(image)) => chosen.image = Some(image),
                    Ok(Err(error)) => say(device, &error),
                    Err(_) => return,
                }
            }
            Next::Late => {}
        }
        if let Some(shown) = chosen.take_if(|chosen| chosen.is_whole()) {
            let names = names.get(&shown.header.network);
            let shot = Shot::new(&shown.header, shown.bytes, shown.image, shown.answer.as_ref(), names);
            shots.send_replace(Some(Arc::new(shot)));
        }
    }
}

async fn next(tap: &mut Tap, chosen: Option<&mut Chosen>) -> Option<Next> {
    let Some(chosen) = chosen else { return tap.next().await.map(Next::Seen) };
    let developed = async {
        match chosen.developing.as_mut() {
            Some(developing) => developing.await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        seen = tap.next() => seen.map(Next::Seen),
        image = developed => Some(Next::Developed(image)),
        () = sleep_until(chosen.until) => Some(Next::Late),
    }
}

/// Takes a frame to be shown; none where it is no frame at all.
async fn choose(
    connection: &Connection,
    device: &DeviceId,
    studio: &Studio,
    sets: &mut HashMap<u32, ParameterSets>,
    message: &Bytes,
) -> Option<Chosen> {
    let (header, access_unit) = FrameHeader::decode(message).ok()?;
    if header.device != device.hash64() {
        return None;
    }
    let developing = develop(connection, device, studio, sets, &header, message.slice_ref(access_unit)).await;
    let developing = developing.inspect_err(|error| say(device, error)).ok();
    let until = Instant::now() + PATIENCE;
    Some(Chosen { header, bytes: access_unit.len(), until, developing, image: None, answer: None })
}

async fn develop(
    connection: &Connection,
    device: &DeviceId,
    studio: &Studio,
    sets: &mut HashMap<u32, ParameterSets>,
    header: &FrameHeader,
    access_unit: Bytes,
) -> Result<oneshot::Receiver<Result<Image, DevelopError>>, NoPicture> {
    let expected = ParameterDigest(header.parameter_sets);
    let parameter_sets = match sets.get(&expected.0) {
        Some(known) => known.clone(),
        None => {
            let bytes = request_parameters(connection, device, expected.0, SETS_WITHIN).await?;
            let asked = ParameterSets::try_new(&bytes)?;
            if asked.digest() != expected {
                return Err(NoPicture::Other { expected, got: asked.digest() });
            }
            if sets.len() >= MOST_SETS {
                sets.clear();
            }
            sets.insert(expected.0, asked.clone());
            asked
        }
    };
    let film = Film { payload: header.payload, gain: header.gain, parameter_sets, access_unit };
    studio.develop(film).ok_or(NoPicture::NoRoom)
}

impl Chosen {
    /// Takes an answer, if it is to this frame.
    fn hear(&mut self, answer: Answer) {
        let own = (self.header.stream, self.header.sequence, self.header.device);
        if (answer.stream, answer.sequence, answer.device) == own {
            self.answer = Some(answer);
        }
    }

    /// Whether all is there, or nothing more is waited for.
    fn is_whole(&self) -> bool {
        (self.developing.is_none() && self.answer.is_some()) || Instant::now() >= self.until
    }
}

fn say(device: &DeviceId, error: &(dyn std::error::Error + 'static)) {
    tracing::debug!(error, %device, "a frame is shown without its picture");
}
