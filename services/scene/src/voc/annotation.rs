//! One annotation file of a VOC devkit.

use autotiler_core::boxes::{BBox, GroundTruth};
use quick_xml::{Reader, events::Event};

/// Deepest nesting that is read; the format has five.
const DEEPEST: usize = 32;

/// What an annotation says.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Annotation {
    /// Boxes in shares of the picture, clipped to it.
    pub truth: Vec<GroundTruth>,
    /// What was left out.
    pub skipped: Skipped,
}

/// Objects that were left out of the truth, by reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Skipped {
    /// Of a class that is not among the names.
    pub unknown_class: usize,
    /// With a box that is inverted, or has no area inside the picture.
    pub empty_box: usize,
}

/// Why an annotation cannot be understood.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AnnotationError {
    /// Not well-formed.
    #[error("parse xml")]
    Xml(#[from] quick_xml::Error),
    /// Text in another encoding than it says.
    #[error("decode text of <{0}>")]
    Text(String, #[source] quick_xml::encoding::EncodingError),
    /// Ends inside an element.
    #[error("annotation ends inside <{0}>")]
    Truncated(String),
    /// Nested deeper than any annotation.
    #[error("annotation is nested deeper than {DEEPEST} elements")]
    TooDeep,
    /// A size or coordinate that is missing.
    #[error("annotation lacks <{0}>")]
    Missing(&'static str),
    /// A size or coordinate that is no finite number, or a size that is not above zero.
    #[error("<{name}> cannot be {text:?}")]
    Number {
        /// The element.
        name: &'static str,
        /// Its text.
        text: String,
    },
}

/// Texts of one `<object>`, as they stand.
#[derive(Debug, Default)]
struct Object {
    name: Option<String>,
    difficult: bool,
    /// xmin, ymin, xmax, ymax.
    edges: [Option<String>; 4],
}

/// The texts that matter.
#[derive(Debug, Default)]
struct Texts {
    width: Option<String>,
    height: Option<String>,
    objects: Vec<Object>,
}

/// Reads an annotation; classes are numbered as in `names`.
///
/// Objects of unknown classes and boxes without area are counted, not errors. Parts of objects (`<part>`)
/// are passed over.
///
/// # Errors
/// [`AnnotationError`] for what is no annotation, or lacks a size or coordinate.
pub fn parse_annotation(xml: &str, names: &[String]) -> Result<Annotation, AnnotationError> {
    let texts = Texts::read(xml)?;
    let (width, height) = (size("width", texts.width)?, size("height", texts.height)?);
    let mut annotation = Annotation::default();
    for object in texts.objects {
        let [x0, y0, x1, y1] = object.edges;
        let (x0, y0) = (number("xmin", x0)? / width, number("ymin", y0)? / height);
        let (x1, y1) = (number("xmax", x1)? / width, number("ymax", y1)? / height);
        let name = object.name.ok_or(AnnotationError::Missing("name"))?;
        let bbox = BBox { x0, y0, x1, y1 }.clipped();
        let class = names.iter().position(|known| *known == name).and_then(|i| u16::try_from(i).ok());
        match class {
            None => annotation.skipped.unknown_class += 1,
            Some(_) if bbox.area() <= 0.0 => annotation.skipped.empty_box += 1,
            Some(class) => {
                annotation.truth.push(GroundTruth { class, bbox, difficult: object.difficult });
            }
        }
    }
    Ok(annotation)
}

impl Texts {
    fn read(xml: &str) -> Result<Self, AnnotationError> {
        let mut reader = Reader::from_str(xml);
        let mut texts = Self::default();
        let mut path: Vec<String> = Vec::new();
        loop {
            match reader.read_event()? {
                Event::Start(element) => {
                    path.push(String::from_utf8_lossy(element.name().as_ref()).into_owned());
                    if path.len() > DEEPEST {
                        return Err(AnnotationError::TooDeep);
                    }
                    if path == ["annotation", "object"] {
                        texts.objects.push(Object::default());
                    }
                }
                Event::End(_) => {
                    path.pop();
                }
                Event::Text(text) => {
                    let element = || path.last().cloned().unwrap_or_default();
                    let text = text.decode().map_err(|error| AnnotationError::Text(element(), error))?;
                    texts.take(&path, text.trim());
                }
                Event::Eof => break,
                _ => {}
            }
        }
        path.pop().map_or(Ok(texts), |open| Err(AnnotationError::Truncated(open)))
    }

    /// Keeps the text of the element at `path` if it matters.
    fn take(&mut self, path: &[String], text: &str) {
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        let some = Some(text.to_owned());
        match path.as_slice() {
            ["annotation", "size", "width"] => self.width = some,
            ["annotation", "size", "height"] => self.height = some,
            ["annotation", "object", inner @ ..] => {
                let Some(object) = self.objects.last_mut() else { return };
                match inner {
                    ["name"] => object.name = some,
                    ["difficult"] => object.difficult = text == "1",
                    ["bndbox", "xmin"] => object.edges[0] = some,
                    ["bndbox", "ymin"] => object.edges[1] = some,
                    ["bndbox", "xmax"] => object.edges[2] = some,
                    ["bndbox", "ymax"] => object.edges[3] = some,
                    _ => {}
                }
            }
            _ => {}
        }
    }
}

fn number(name: &'static str, text: Option<String>) -> Result<f32, AnnotationError> {
    let text = text.ok_or(AnnotationError::Missing(name))?;
    let number = text.parse().ok().filter(|number: &f32| number.is_finite());
    number.ok_or(AnnotationError::Number { name, text })
}

fn size(name: &'static str, text: Option<String>) -> Result<f32, AnnotationError> {
    let size = number(name, text)?;
    if size > 0.0 { Ok(size) } else { Err(AnnotationError::Number { name, text: size.to_string() }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Vec<String> {
        vec!["person".into(), "dog".into()]
    }

    fn object(name: &str, edges: [f32; 4], more: &str) -> String {
        let [x0, y0, x1, y1] = edges;
        format!(
            "<object><name>{name}</name>{more}<bndbox><xmin>{x0}</xmin><ymin>{y0}</ymin>\
             <xmax>{x1}</xmax><ymax>{y1}</ymax></bndbox></object>"
        )
    }

    fn annotation(objects: &str) -> String {
        format!(
            "<annotation><size><width>200</width><height>100</height><depth>3</depth></size>\n{objects}\
             </annotation>"
        )
    }

    fn parse(objects: &str) -> Result<Annotation, AnnotationError> {
        parse_annotation(&annotation(objects), &names())
    }

    #[test]
    fn boxes_are_shares_and_keep_their_flag() {
        let difficult = object("dog", [20.0, 10.0, 120.0, 60.5], "<difficult>1</difficult>");
        let parsed = parse(&(difficult + &object("person", [0.0, 0.0, 300.0, 50.0], ""))).unwrap();
        let bbox = BBox { x0: 0.1, y0: 0.1, x1: 0.6, y1: 0.605 };
        assert_eq!(parsed.truth[0], GroundTruth { class: 1, bbox, difficult: true });
        // Clipped to the picture.
        let bbox = BBox { x0: 0.0, y0: 0.0, x1: 1.0, y1: 0.5 };
        assert_eq!(parsed.truth[1], GroundTruth { class: 0, bbox, difficult: false });
    }

    #[test]
    fn unknown_classes_and_empty_boxes_are_counted() {
        let objects = [
            object("horse", [0.0, 0.0, 9.0, 9.0], ""),
            object("dog", [9.0, 0.0, 9.0, 9.0], ""),
            object("dog", [9.0, 9.0, 3.0, 3.0], ""),
            object("dog", [500.0, 9.0, 600.0, 30.0], ""),
        ];
        let parsed = parse(&objects.concat()).unwrap();
        assert!(parsed.truth.is_empty());
        assert_eq!(parsed.skipped, Skipped { unknown_class: 1, empty_box: 3 });
    }

    #[test]
    fn parts_of_an_object_do_not_replace_it() {
        let part = "<part><name>head</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>2</xmax>\
                    <ymax>2</ymax></bndbox></part>";
        let parsed = parse(&object("person", [0.0, 0.0, 100.0, 100.0], part)).unwrap();
        assert_eq!((parsed.truth.len(), parsed.truth[0].bbox.x1), (1, 0.5));
    }

    #[test]
    fn what_is_no_annotation_says_why() {
        let error = |xml: &str| parse_annotation(xml, &names()).unwrap_err();
        assert!(matches!(error(""), AnnotationError::Missing("width")));
        assert!(matches!(error("<annotation><size>"), AnnotationError::Truncated(at) if at == "size"));
        assert!(matches!(error("<annotation></size>"), AnnotationError::Xml(_)));
        assert!(matches!(error(&"<a>".repeat(99)), AnnotationError::TooDeep));
        let zero = annotation("").replace("200", "0");
        assert!(matches!(error(&zero), AnnotationError::Number { name: "width", .. }));
        let lacks = annotation(&object("dog", [0.0; 4], "").replace("ymax", "y"));
        assert!(matches!(error(&lacks), AnnotationError::Missing("ymax")));
        let nan = annotation(&object("dog", [f32::NAN; 4], ""));
        assert!(matches!(error(&nan), AnnotationError::Number { name: "xmin", .. }));
    }

    #[test]
    fn any_text_gives_boxes_inside_the_picture_or_an_error() {
        const PIECES: [&str; 12] = [
            "<annotation>",
            "</annotation>",
            "<object>",
            "</object>",
            "<size>",
            "</size>",
            "<name>dog</name>",
            "<width>7</width><height>9</height>",
            "<bndbox>",
            "</bndbox>",
            "<xmin>-3</xmin><ymin>1e9</ymin><xmax>5</xmax><ymax>8</ymax>",
            "<!-- -->&amp;]]>",
        ];
        bolero::check!().with_type::<Vec<u8>>().with_iterations(5000).for_each(|bytes| {
            let pieces: String = bytes.iter().map(|&b| PIECES[usize::from(b) % PIECES.len()]).collect();
            for text in [String::from_utf8_lossy(bytes).into_owned(), pieces] {
                if let Ok(parsed) = parse_annotation(&text, &names()) {
                    for object in parsed.truth {
                        let BBox { x0, y0, x1, y1 } = object.bbox;
                        assert!(0.0 <= x0 && x0 < x1 && x1 <= 1.0 && 0.0 <= y0 && y0 < y1 && y1 <= 1.0);
                    }
                }
            }
        });
    }
}
