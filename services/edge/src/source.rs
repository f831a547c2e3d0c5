//! Where pictures come from: files, cameras, or the generated world.

mod ffmpeg;
mod images;
mod spec;
mod world;

use std::{path::PathBuf, sync::Arc};

use autotiler_scene::Picture;

pub use spec::{BadSource, SourceSpec};

/// One picture of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourcePicture {
    /// What the source calls it, like an image's name.
    pub name: Option<String>,
    /// The picture, of any size.
    pub picture: Picture,
}

/// A picture that is there and cannot be read. The source goes on with the next.
#[derive(Debug, thiserror::Error)]
#[error("reading the picture {name}")]
pub struct Unreadable {
    /// What the source calls it.
    pub name: String,
    /// Why.
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

/// A source that cannot be opened, or that ended for good before its time.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// A folder or list that cannot be read.
    #[error("reading {path}")]
    Folder {
        /// The folder or file.
        path: PathBuf,
        /// The system's own words.
        #[source]
        source: std::io::Error,
    },
    /// A folder without pictures.
    #[error("{0} holds no .jpg, .jpeg or .png")]
    Empty(PathBuf),
    /// ffmpeg could not be started.
    #[error("starting {ffmpeg} for the source")]
    Spawn {
        /// The program.
        ffmpeg: PathBuf,
        /// The system's own words.
        #[source]
        source: std::io::Error,
    },
    /// ffmpeg ended again and again without a picture.
    #[error("ffmpeg gives no picture of {input}: {stderr}")]
    NoPicture {
        /// What it was to read.
        input: String,
        /// Its last words.
        stderr: String,
    },
}

/// Gives pictures, one by one, to a thread of its own.
pub trait Source: Send {
    /// The next picture; waits for it. `None` at the end.
    ///
    /// # Errors
    /// [`SourceError`] ends the source; the inner [`Unreadable`] is one picture's.
    fn next(&mut self) -> Result<Option<Result<SourcePicture, Unreadable>>, SourceError>;

    /// What makes a waiting [`Source::next`] end soon, from another thread; none for a source that never waits.
    fn stopper(&self) -> Option<Arc<dyn Fn() + Send + Sync>> {
        None
    }
}

/// What all sources need to know.
#[derive(Debug, Clone)]
pub struct SourceOptions {
    /// Columns and rows of the network's input: video is scaled to it, the world is drawn in it.
    pub size: (usize, usize),
    /// The ffmpeg program, for video and cameras.
    pub ffmpeg: PathBuf,
    /// Start again at the end.
    pub repeat: bool,
}
