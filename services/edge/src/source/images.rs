//! Pictures in files: a folder, or a list of a VOC devkit.

use std::{
    fs,
    path::{Path, PathBuf},
};

use autotiler_scene::Picture;

use super::{Source, SourceError, SourcePicture, Unreadable};

/// Reads files one by one.
pub(super) struct ImageSource {
    files: Vec<PathBuf>,
    next: usize,
    repeat: bool,
}

impl ImageSource {
    /// The pictures of `dir`, in order of their names.
    pub(super) fn folder(dir: &Path, repeat: bool) -> Result<Self, SourceError> {
        let failed = |source| SourceError::Folder { path: dir.to_owned(), source };
        let entries = fs::read_dir(dir).map_err(failed)?;
        let mut files = Vec::new();
        for entry in entries {
            let path = entry.map_err(failed)?.path();
            if is_picture(&path) {
                files.push(path);
            }
        }
        files.sort();
        Self::of(files, dir, repeat)
    }

    /// The pictures of the set `set` of the devkit in `dir`, in the order of the list.
    pub(super) fn voc(dir: &Path, set: &str, repeat: bool) -> Result<Self, SourceError> {
        let list = dir.join("ImageSets/Main").join(format!("{set}.txt"));
        let text =
            fs::read_to_string(&list).map_err(|source| SourceError::Folder { path: list.clone(), source })?;
        let ids = text.lines().filter_map(|line| line.split_whitespace().next());
        let files = ids.map(|id| dir.join("JPEGImages").join(format!("{id}.jpg"))).collect();
        Self::of(files, &list, repeat)
    }

    fn of(files: Vec<PathBuf>, from: &Path, repeat: bool) -> Result<Self, SourceError> {
        if files.is_empty() {
            return Err(SourceError::Empty(from.to_owned()));
        }
        Ok(Self { files, next: 0, repeat })
    }
}

impl Source for ImageSource {
    fn next(&mut self) -> Result<Option<Result<SourcePicture, Unreadable>>, SourceError> {
        if self.next >= self.files.len() && self.repeat {
            self.next = 0;
        }
        let Some(path) = self.files.get(self.next) else { return Ok(None) };
        self.next += 1;
        let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        Ok(Some(match load(path) {
            Ok(picture) => Ok(SourcePicture { name: Some(name), picture }),
            Err(source) => Err(Unreadable { name, source }),
        }))
    }
}

fn load(path: &Path) -> Result<Picture, Box<dyn std::error::Error + Send + Sync>> {
    Ok(Picture::decode(&fs::read(path)?)?)
}

fn is_picture(path: &Path) -> bool {
    let extension = path.extension().map(|extension| extension.to_ascii_lowercase());
    extension.is_some_and(|extension| ["jpg", "jpeg", "png"].iter().any(|known| extension == *known))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(source: &mut ImageSource, count: usize) -> Vec<Result<String, String>> {
        let next = || source.next().unwrap();
        let pictures = std::iter::from_fn(next).take(count);
        pictures.map(|p| p.map(|p| p.name.unwrap()).map_err(|e| e.name)).collect()
    }

    #[test]
    fn unreadable_files_are_named_and_passed_over() {
        let dir = tempfile::tempdir().unwrap();
        let picture = Picture { width: 2, height: 1, rgb: vec![0, 1, 2, 3, 4, 5] };
        fs::write(dir.path().join("b.png"), picture.encode_png().unwrap()).unwrap();
        fs::write(dir.path().join("a.jpg"), b"no picture").unwrap();
        fs::write(dir.path().join("notes.txt"), b"").unwrap();
        let mut source = ImageSource::folder(dir.path(), false).unwrap();
        assert_eq!(names(&mut source, 9), [Err("a".to_owned()), Ok("b".to_owned())]);
        let mut source = ImageSource::folder(dir.path(), true).unwrap();
        assert_eq!(names(&mut source, 5).len(), 5);
    }

    #[test]
    fn empty_and_absent_folders_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(ImageSource::folder(dir.path(), false), Err(SourceError::Empty(_))));
        assert!(matches!(ImageSource::folder(&dir.path().join("x"), false), Err(SourceError::Folder { .. })));
        assert!(matches!(ImageSource::voc(dir.path(), "val", false), Err(SourceError::Folder { .. })));
    }

    #[test]
    fn a_voc_set_keeps_the_order_of_its_list() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("ImageSets/Main")).unwrap();
        fs::write(dir.path().join("ImageSets/Main/val.txt"), "z 1\na -1\n").unwrap();
        let mut source = ImageSource::voc(dir.path(), "val", false).unwrap();
        assert_eq!(names(&mut source, 9), [Err("z".to_owned()), Err("a".to_owned())]);
    }
}
