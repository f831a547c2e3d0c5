//! Clean scientific plots: one drawing, an SVG and the PNG rasterised from it.
//!
//! Text is set in DejaVu Sans, which comes with the program, so a plot looks the same on every machine. A plot
//! is never empty: nothing to draw, or values that cannot be drawn, are errors.

pub mod axis;
pub mod bars;
mod canvas;
pub mod colour;
pub mod error;
mod frame;
pub mod lines;
pub mod panel;
mod plot;
mod raster;
pub mod stack;
mod width;

pub use axis::{Axis, Scale};
pub use bars::{Bars, RangeSeries, Ranges, ValueSeries};
pub use colour::{Colour, colour_of};
pub use error::PlotError;
pub use lines::{Interval, LineChart, Reference, Series};
pub use panel::ImagePanel;
pub use plot::{Plot, Saved};
pub use stack::{StackedBar, StackedBars};
