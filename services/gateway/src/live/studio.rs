//! The one thread that makes pictures of access units, for all who look.

use std::{
    io,
    sync::mpsc::{Receiver, SyncSender, sync_channel},
};

use autotiler_core::{Gain, wire::Payload};
use autotiler_hevc::{DecodeError, DecoderOptions, DecoderPool, ParameterSets, PixelFormat};
use autotiler_scene::{Picture, picture::PictureError};
use bytes::Bytes;
use image::{ExtendedColorType, ImageEncoder, codecs::jpeg::JpegEncoder, codecs::png::PngEncoder};
use tokio::sync::oneshot;

use super::shot::Image;

/// Frames that may wait; what finds no room is not shown.
const WAITING: usize = 8;
/// ffmpeg children that are kept.
const SESSIONS: usize = 4;
/// Of pictures; planes are shown without loss.
const JPEG_QUALITY: u8 = 80;

/// A frame to be shown.
#[derive(Debug)]
pub(super) struct Film {
    pub(super) payload: Payload,
    pub(super) gain: Gain,
    pub(super) parameter_sets: ParameterSets,
    pub(super) access_unit: Bytes,
}

/// Why there is no picture of a frame.
#[derive(Debug, thiserror::Error)]
pub(super) enum DevelopError {
    /// Neither grey nor 4:2:0 with 8 bits, or a plane where a picture should be.
    #[error("a frame of a kind that is not shown")]
    Kind,
    /// ffmpeg, or the access unit.
    #[error("decoding a frame for people")]
    Decode(#[from] DecodeError),
    /// The samples are no picture.
    #[error("making a picture of a frame")]
    Picture(#[from] PictureError),
    /// The picture cannot be written.
    #[error("writing the picture of a frame")]
    Encode(#[from] image::ImageError),
}

type Job = (Film, oneshot::Sender<Result<Image, DevelopError>>);

/// Where frames are given to. Clones share the thread, which ends with the last of them.
#[derive(Debug, Clone)]
pub(super) struct Studio(SyncSender<Job>);

impl Studio {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system gives none.
    pub(super) fn open(codec: DecoderOptions) -> io::Result<Self> {
        let (sender, jobs) = sync_channel(WAITING);
        std::thread::Builder::new().name("studio".to_owned()).spawn(move || work(&jobs, codec))?;
        Ok(Self(sender))
    }

    /// The picture of a frame, when it is made; `None` where there is no room for it.
    pub(super) fn develop(&self, film: Film) -> Option<oneshot::Receiver<Result<Image, DevelopError>>> {
        let (reply, picture) = oneshot::channel();
        self.0.try_send((film, reply)).ok().map(|()| picture)
    }
}

fn work(jobs: &Receiver<Job>, codec: DecoderOptions) {
    let mut decoders = DecoderPool::new(codec, SESSIONS);
    while let Ok((film, reply)) = jobs.recv() {
        if !reply.is_closed() {
            // Whoever asked may have left in between.
            let _ = reply.send(develop(&mut decoders, &film));
        }
    }
}

fn develop(decoders: &mut DecoderPool, film: &Film) -> Result<Image, DevelopError> {
    let format = film.parameter_sets.format().ok_or(DevelopError::Kind)?;
    let samples = decoders.decode(format, &film.parameter_sets, &film.access_unit, film.gain)?;
    let (width, height) = (format.width(), format.height());
    let mut bytes = Vec::new();
    let media_type = match (film.payload, format.pixel) {
        (Payload::Plane { .. }, PixelFormat::Gray) => {
            PngEncoder::new(&mut bytes).write_image(&samples, width, height, ExtendedColorType::L8)?;
            "image/png"
        }
        (Payload::Picture, PixelFormat::Yuv420) => {
            let picture = Picture::from_yuv420(width as usize, height as usize, &samples)?;
            JpegEncoder::new_with_quality(&mut bytes, JPEG_QUALITY).write_image(
                &picture.rgb,
                width,
                height,
                ExtendedColorType::Rgb8,
            )?;
            "image/jpeg"
        }
        _ => return Err(DevelopError::Kind),
    };
    Ok(Image { media_type, width, height, bytes: bytes.into() })
}
