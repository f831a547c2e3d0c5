//! Why a plot cannot be made.

use std::{io, path::PathBuf};

use plotters::drawing::DrawingAreaErrorKind;

/// Why a plot cannot be made or kept.
#[derive(Debug, thiserror::Error)]
pub enum PlotError {
    /// There is nothing to draw.
    #[error("plot {title:?}: {what} is empty")]
    Empty {
        /// Title of the plot.
        title: String,
        /// What is empty: the plot itself or one of its series.
        what: String,
    },
    /// A value is no finite number.
    #[error("plot {title:?}: {what} has the value {value}, which is not finite")]
    NotFinite {
        /// Title of the plot.
        title: String,
        /// The series.
        what: String,
        /// The value.
        value: f64,
    },
    /// A logarithmic axis has no place for it.
    #[error("plot {title:?}: {what} has the value {value}, which a logarithmic axis cannot show")]
    NotPositive {
        /// Title of the plot.
        title: String,
        /// The series.
        what: String,
        /// The value.
        value: f64,
    },
    /// A series has not one value for each group.
    #[error("plot {title:?}: {what} has {got} values, and there are {wanted} to be named")]
    Length {
        /// Title of the plot.
        title: String,
        /// The series.
        what: String,
        /// Groups or parts.
        wanted: usize,
        /// Values of the series.
        got: usize,
    },
    /// A series wants an axis that the chart has not got.
    #[error("plot {title:?}: {what} belongs to a right axis, and there is none")]
    NoRightAxis {
        /// Title of the plot.
        title: String,
        /// The series.
        what: String,
    },
    /// The drawing failed.
    #[error("draw plot")]
    Draw(#[from] DrawingAreaErrorKind<io::Error>),
    /// The drawing is no SVG that the rasteriser reads.
    #[error("read drawn svg")]
    Svg(#[from] resvg::usvg::Error),
    /// No memory for so many pixels, or none at all.
    #[error("no picture of {width}x{height} pixels")]
    Pixels {
        /// Width.
        width: u32,
        /// Height.
        height: u32,
    },
    /// The pixels do not become a PNG.
    #[error("encode png")]
    Png(#[from] image::ImageError),
    /// The file cannot be written.
    #[error("write plot {path}")]
    Write {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
}
