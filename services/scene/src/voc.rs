//! Data sets in the layout of the PASCAL VOC devkit.
//!
//! `ImageSets/Main/<set>.txt` names the pictures, `JPEGImages/<id>.jpg` (or `.png`) holds them,
//! `Annotations/<id>.xml` says what is in them. Pictures are loaded one at a time, when asked for.

mod annotation;

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use autotiler_core::boxes::GroundTruth;

use crate::picture::{Picture, PictureError};

pub use annotation::{Annotation, AnnotationError, Skipped, parse_annotation};

/// Endings of a picture's file, in the order in which they are tried.
const ENDINGS: [&str; 2] = ["jpg", "png"];

/// One set of a devkit.
#[derive(Debug, Clone)]
pub struct VocSet {
    root: PathBuf,
    names: Vec<String>,
    ids: Vec<String>,
}

/// One picture of a set.
#[derive(Debug, Clone)]
pub struct VocPicture {
    /// Name of its files, without the ending.
    pub id: String,
    /// The picture.
    pub picture: Picture,
    /// Its boxes; classes are indices into the names given.
    pub truth: Vec<GroundTruth>,
    /// Objects of the annotation that are not in `truth`, and why.
    pub skipped: Skipped,
}

/// Why a set or one of its pictures cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum VocError {
    /// A file that is missing or cannot be read.
    #[error("read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// A set that names nothing.
    #[error("{0} names nothing")]
    Empty(PathBuf),
    /// A picture's name that would lead out of the devkit, or the name of a set.
    #[error("{0:?} is no name of a picture or set: it holds a path separator or is empty")]
    Name(String),
    /// A picture that is there but cannot be decoded.
    #[error("picture {id}")]
    Picture {
        /// Its name.
        id: String,
        /// What is wrong with it.
        #[source]
        source: PictureError,
    },
    /// An annotation that is there but cannot be understood.
    #[error("annotation of {id}")]
    Annotation {
        /// Its picture's name.
        id: String,
        /// What is wrong with it.
        #[source]
        source: AnnotationError,
    },
}

/// Class names from a file: one a line, empty lines left out.
///
/// # Errors
/// [`VocError::Read`], or [`VocError::Empty`] for a file without names.
pub fn read_names(path: &Path) -> Result<Vec<String>, VocError> {
    let text = read_text(path)?;
    let names = text.lines().map(str::trim).filter(|line| !line.is_empty());
    non_empty(path, names.map(str::to_owned).collect())
}

impl VocSet {
    /// The set `set` (`test_voc`) of the devkit at `root`, its classes numbered as in `names`.
    ///
    /// # Errors
    /// [`VocError`] when the list of the set is missing, empty, or holds something that is no name.
    pub fn open(root: impl Into<PathBuf>, set: &str, names: &[String]) -> Result<Self, VocError> {
        let root = root.into();
        check_name(set)?;
        let path = root.join("ImageSets/Main").join(format!("{set}.txt"));
        let text = read_text(&path)?;
        // Lists of a single class have a second column; the first is the name.
        let ids = text.lines().filter_map(|line| line.split_whitespace().next());
        let ids = ids.map(|id| check_name(id).map(|()| id.to_owned())).collect::<Result<_, _>>()?;
        Ok(Self { ids: non_empty(&path, ids)?, names: names.to_vec(), root })
    }

    /// Number of pictures.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Never: a set without pictures is refused when opened.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Names of the pictures, in the order of the list.
    pub fn ids(&self) -> &[String] {
        &self.ids
    }

    /// Names of the classes.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Loads picture `index`; none past the end.
    pub fn load(&self, index: usize) -> Option<Result<VocPicture, VocError>> {
        self.ids.get(index).map(|id| self.load_id(id))
    }

    /// The pictures in order, each loaded when it is its turn. One that fails does not end the rest.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Result<VocPicture, VocError>> + '_ {
        self.ids.iter().map(|id| self.load_id(id))
    }

    fn load_id(&self, id: &str) -> Result<VocPicture, VocError> {
        let xml = read_text(&self.root.join("Annotations").join(format!("{id}.xml")))?;
        let Annotation { truth, skipped } = parse_annotation(&xml, &self.names)
            .map_err(|source| VocError::Annotation { id: id.to_owned(), source })?;
        let picture = Picture::decode(&self.picture_bytes(id)?)
            .map_err(|source| VocError::Picture { id: id.to_owned(), source })?;
        Ok(VocPicture { id: id.to_owned(), picture, truth, skipped })
    }

    fn picture_bytes(&self, id: &str) -> Result<Vec<u8>, VocError> {
        let path = |ending| self.root.join("JPEGImages").join(format!("{id}.{ending}"));
        let found = ENDINGS.into_iter().map(path).find(|path| path.exists());
        let path = found.unwrap_or_else(|| path(ENDINGS[0]));
        fs::read(&path).map_err(|source| VocError::Read { path, source })
    }
}

fn check_name(name: &str) -> Result<(), VocError> {
    let fine = !name.is_empty() && !name.contains(['/', '\\', '\0']) && name != "..";
    fine.then_some(()).ok_or_else(|| VocError::Name(name.to_owned()))
}

fn non_empty(path: &Path, names: Vec<String>) -> Result<Vec<String>, VocError> {
    if names.is_empty() { Err(VocError::Empty(path.to_owned())) } else { Ok(names) }
}

fn read_text(path: &Path) -> Result<String, VocError> {
    fs::read_to_string(path).map_err(|source| VocError::Read { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    const XML: &str = "<annotation><size><width>10</width><height>20</height></size><object><name>dog</name>\
        <bndbox><xmin>1</xmin><ymin>2</ymin><xmax>5</xmax><ymax>10</ymax></bndbox></object></annotation>";

    /// A devkit of two pictures, the second without files.
    fn devkit() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for sub in ["ImageSets/Main", "JPEGImages", "Annotations"] {
            fs::create_dir_all(dir.path().join(sub)).unwrap();
        }
        fs::write(dir.path().join("ImageSets/Main/val.txt"), "a  1\nb -1\n\n").unwrap();
        fs::write(dir.path().join("Annotations/a.xml"), XML).unwrap();
        let png = Picture::filled(10, 20, [7; 3]).encode_png().unwrap();
        fs::write(dir.path().join("JPEGImages/a.png"), png).unwrap();
        dir
    }

    fn names() -> Vec<String> {
        vec!["cat".into(), "dog".into()]
    }

    #[test]
    fn loads_what_is_there_and_names_what_is_missing() {
        let dir = devkit();
        let set = VocSet::open(dir.path(), "val", &names()).unwrap();
        let mut loaded = set.iter();
        let first = loaded.next().unwrap().unwrap();
        assert_eq!((first.id.as_str(), first.picture.height, first.truth[0].class), ("a", 20, 1));
        assert!((first.truth[0].bbox.y1 - 0.5).abs() < 1e-6);
        let missing = loaded.next().unwrap();
        assert!(matches!(missing, Err(VocError::Read { path, .. }) if path.ends_with("Annotations/b.xml")));
        assert!(set.load(2).is_none());
    }

    #[test]
    fn a_missing_or_broken_picture_is_told_from_a_missing_annotation() {
        let dir = devkit();
        let set = VocSet::open(dir.path(), "val", &names()).unwrap();
        fs::write(dir.path().join("Annotations/b.xml"), XML).unwrap();
        let missing = set.load(1).unwrap();
        assert!(matches!(missing, Err(VocError::Read { path, .. }) if path.ends_with("JPEGImages/b.jpg")));
        fs::write(dir.path().join("JPEGImages/b.jpg"), b"no picture").unwrap();
        assert!(matches!(set.load(1), Some(Err(VocError::Picture { id, .. })) if id == "b"));
        fs::write(dir.path().join("Annotations/b.xml"), "<annotation>").unwrap();
        assert!(matches!(set.load(1), Some(Err(VocError::Annotation { id, .. })) if id == "b"));
    }

    #[test]
    fn sets_that_are_missing_empty_or_lead_outside_are_refused() {
        let dir = devkit();
        let open = |set| VocSet::open(dir.path(), set, &names());
        assert!(matches!(open("test"), Err(VocError::Read { .. })));
        assert!(matches!(open("../../etc"), Err(VocError::Name(_))));
        fs::write(dir.path().join("ImageSets/Main/none.txt"), "\n").unwrap();
        assert!(matches!(open("none"), Err(VocError::Empty(_))));
        fs::write(dir.path().join("ImageSets/Main/out.txt"), "../../secret\n").unwrap();
        assert!(matches!(open("out"), Err(VocError::Name(_))));
    }

    #[test]
    fn names_are_one_a_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.names");
        fs::write(&path, "cat\r\npotted plant\n\n").unwrap();
        assert_eq!(read_names(&path).unwrap(), ["cat", "potted plant"]);
        fs::write(&path, "\n").unwrap();
        assert!(matches!(read_names(&path), Err(VocError::Empty(_))));
    }
}
