//! Sources as text, for the command line.

use std::{fmt, path::PathBuf, str::FromStr};

use super::{
    Source, SourceError, SourceOptions,
    ffmpeg::{FfmpegSource, Input},
    images::ImageSource,
    world::{View, WorldSource},
};

/// A source as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceSpec {
    /// `world` or `world:seed=7,size=640x480`: the generated world as video.
    World {
        /// Two worlds of one seed are the same.
        seed: u64,
        /// Columns and rows; the network's input by default.
        size: Option<(usize, usize)>,
    },
    /// `scenes:seed=7`: independent pictures of the generated world.
    Scenes {
        /// Two worlds of one seed are the same.
        seed: u64,
        /// Columns and rows; the network's input by default.
        size: Option<(usize, usize)>,
    },
    /// `images:DIR`: the pictures of a folder, in order of their names.
    Images(PathBuf),
    /// `voc:DIR:SET`: the pictures of `DIR/ImageSets/Main/SET.txt`, in its order.
    Voc {
        /// The devkit's folder.
        dir: PathBuf,
        /// The set.
        set: String,
    },
    /// `video:FILE`: what ffmpeg can read.
    Video(PathBuf),
    /// `rtsp://...`: a camera on the network.
    Rtsp(String),
    /// `v4l2:/dev/video0`: a camera of this machine.
    V4l2(PathBuf),
}

/// Why a text is no source.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "source {0:?} is not known: write world, world:seed=7,size=640x480, scenes:seed=7, images:DIR, \
     voc:DIR:SET, video:FILE, rtsp://HOST/PATH or v4l2:/dev/video0"
)]
pub struct BadSource(String);

impl SourceSpec {
    /// Whether it is a camera, whose newest picture counts and whose old ones are of no use.
    pub fn is_live(&self) -> bool {
        matches!(self, Self::Rtsp(_) | Self::V4l2(_))
    }

    /// Opens it.
    ///
    /// # Errors
    /// [`SourceError`] when files or ffmpeg are missing. A camera that is not there is waited for.
    pub fn open(&self, options: &SourceOptions) -> Result<Box<dyn Source>, SourceError> {
        let repeat = options.repeat;
        Ok(match self {
            Self::World { seed, size } => {
                Box::new(WorldSource::new(*seed, size.unwrap_or(options.size), View::Video))
            }
            Self::Scenes { seed, size } => {
                Box::new(WorldSource::new(*seed, size.unwrap_or(options.size), View::Scenes))
            }
            Self::Images(dir) => Box::new(ImageSource::folder(dir, repeat)?),
            Self::Voc { dir, set } => Box::new(ImageSource::voc(dir, set, repeat)?),
            Self::Video(file) => Box::new(FfmpegSource::open(Input::File(file.clone()), options)?),
            Self::Rtsp(url) => Box::new(FfmpegSource::open(Input::Rtsp(url.clone()), options)?),
            Self::V4l2(device) => Box::new(FfmpegSource::open(Input::V4l2(device.clone()), options)?),
        })
    }
}

impl FromStr for SourceSpec {
    type Err = BadSource;

    fn from_str(text: &str) -> Result<Self, BadSource> {
        let bad = || BadSource(text.to_owned());
        if text.starts_with("rtsp://") || text.starts_with("rtsps://") {
            return Ok(Self::Rtsp(text.to_owned()));
        }
        let (kind, rest) = text.split_once(':').unwrap_or((text, ""));
        let path = || if rest.is_empty() { Err(bad()) } else { Ok(PathBuf::from(rest)) };
        match kind {
            "world" => read_world(rest).map(|(seed, size)| Self::World { seed, size }).ok_or_else(bad),
            "scenes" => read_world(rest).map(|(seed, size)| Self::Scenes { seed, size }).ok_or_else(bad),
            "images" => Ok(Self::Images(path()?)),
            "video" => Ok(Self::Video(path()?)),
            "v4l2" => Ok(Self::V4l2(path()?)),
            "voc" => match rest.rsplit_once(':') {
                Some((dir, set)) if !dir.is_empty() && !set.is_empty() => {
                    Ok(Self::Voc { dir: dir.into(), set: set.to_owned() })
                }
                _ => Err(bad()),
            },
            _ => Err(bad()),
        }
    }
}

/// `seed=7,size=640x480`, both optional.
fn read_world(text: &str) -> Option<(u64, Option<(usize, usize)>)> {
    let (mut seed, mut size) = (0, None);
    for part in text.split(',').filter(|part| !part.is_empty()) {
        match part.split_once('=')? {
            ("seed", number) => seed = number.parse().ok()?,
            ("size", sides) => {
                let (width, height) = sides.split_once('x')?;
                let side = |text: &str| text.parse().ok().filter(|side| (1..=4096).contains(side));
                size = Some((side(width)?, side(height)?));
            }
            _ => return None,
        }
    }
    Some((seed, size))
}

impl fmt::Display for SourceSpec {
    /// The same text that [`FromStr`] reads.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, seed, size) = match self {
            Self::World { seed, size } => ("world", seed, size),
            Self::Scenes { seed, size } => ("scenes", seed, size),
            Self::Images(dir) => return write!(f, "images:{}", dir.display()),
            Self::Voc { dir, set } => return write!(f, "voc:{}:{set}", dir.display()),
            Self::Video(file) => return write!(f, "video:{}", file.display()),
            Self::Rtsp(url) => return f.write_str(url),
            Self::V4l2(device) => return write!(f, "v4l2:{}", device.display()),
        };
        write!(f, "{kind}:seed={seed}")?;
        size.map_or(Ok(()), |(width, height)| write!(f, ",size={width}x{height}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_round_trips() {
        for text in [
            "world:seed=0",
            "world:seed=7,size=640x480",
            "scenes:seed=3",
            "images:a/b",
            "voc:data/VOCdevkit:test_voc",
            "video:clip.mp4",
            "rtsp://camera:554/stream",
            "v4l2:/dev/video0",
        ] {
            assert_eq!(text.parse::<SourceSpec>().unwrap().to_string(), text);
        }
        assert_eq!("world".parse(), Ok(SourceSpec::World { seed: 0, size: None }));
    }

    #[test]
    fn other_texts_are_refused_with_what_would_do() {
        for bad in
            ["", "wrld", "images:", "voc:dir", "voc::set", "world:seed=x", "world:size=0x5", "world:a=1"]
        {
            let error = bad.parse::<SourceSpec>().unwrap_err().to_string();
            assert!(error.contains("images:DIR"), "{error}");
        }
    }
}
