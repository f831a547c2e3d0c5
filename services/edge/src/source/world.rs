//! The generated world as a source.

use autotiler_scene::{World, WorldOptions};

use super::{Source, SourceError, SourcePicture, Unreadable};

/// How the world is seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum View {
    /// As video.
    Video,
    /// As independent pictures.
    Scenes,
}

/// Frame *n* of the stream is frame or scene *n* of the world, for ever.
pub(super) struct WorldSource {
    world: World,
    view: View,
    next: u32,
}

impl WorldSource {
    pub(super) fn new(seed: u64, (width, height): (usize, usize), view: View) -> Self {
        Self { world: World::new(WorldOptions { seed, width, height }), view, next: 0 }
    }
}

impl Source for WorldSource {
    fn next(&mut self) -> Result<Option<Result<SourcePicture, Unreadable>>, SourceError> {
        let scene = match self.view {
            View::Video => self.world.frame(self.next),
            View::Scenes => self.world.scene(self.next),
        };
        self.next = self.next.wrapping_add(1);
        Ok(Some(Ok(SourcePicture { name: None, picture: scene.picture })))
    }
}
