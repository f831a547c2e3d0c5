//! A plot of any kind, and its two files.

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use tempfile::NamedTempFile;

use crate::{
    bars::{Bars, Ranges},
    error::PlotError,
    lines::LineChart,
    panel::ImagePanel,
    raster,
    stack::StackedBars,
};

/// A plot.
#[derive(Debug, Clone, PartialEq)]
pub enum Plot {
    /// Curves.
    Lines(LineChart),
    /// Groups of bars from the bottom up.
    Bars(Bars),
    /// Groups of bars that float.
    Ranges(Ranges),
    /// Bars of several parts.
    Stack(StackedBars),
    /// Pictures beside each other.
    Panel(ImagePanel),
}

/// Where a plot was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Saved {
    /// The drawing.
    pub svg: PathBuf,
    /// The picture of it.
    pub png: PathBuf,
}

impl Plot {
    /// The drawing as SVG.
    ///
    /// # Errors
    /// [`PlotError`] when there is nothing to draw or a value has no place.
    pub fn svg(&self) -> Result<String, PlotError> {
        match self {
            Self::Lines(chart) => chart.svg(),
            Self::Bars(chart) => chart.svg(),
            Self::Ranges(chart) => chart.svg(),
            Self::Stack(chart) => chart.svg(),
            Self::Panel(panel) => panel.svg(),
        }
    }

    /// The drawing as PNG file.
    ///
    /// # Errors
    /// [`PlotError`] as of [`Self::svg`], or when the picture cannot be made.
    pub fn png(&self) -> Result<Vec<u8>, PlotError> {
        raster::png(&self.svg()?)
    }

    /// Writes `<stem>.svg` and `<stem>.png` into `dir`, which must exist. Each file is there as a whole or not
    /// at all, and nothing is written when the plot cannot be made.
    ///
    /// # Errors
    /// [`PlotError`].
    pub fn save(&self, dir: &Path, stem: &str) -> Result<Saved, PlotError> {
        let svg = self.svg()?;
        let png = raster::png(&svg)?;
        let saved = Saved { svg: dir.join(format!("{stem}.svg")), png: dir.join(format!("{stem}.png")) };
        for (path, bytes) in [(&saved.svg, svg.as_bytes()), (&saved.png, &png)] {
            write(dir, path, bytes).map_err(|source| PlotError::Write { path: path.clone(), source })?;
        }
        Ok(saved)
    }
}

fn write(dir: &Path, path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = NamedTempFile::new_in(dir)?;
    file.write_all(bytes)?;
    // A temporary file is for its owner only; a plot is for everyone.
    #[cfg(unix)]
    file.as_file().set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))?;
    file.persist(path)?;
    Ok(())
}

impl From<LineChart> for Plot {
    fn from(chart: LineChart) -> Self {
        Self::Lines(chart)
    }
}

impl From<Bars> for Plot {
    fn from(chart: Bars) -> Self {
        Self::Bars(chart)
    }
}

impl From<Ranges> for Plot {
    fn from(chart: Ranges) -> Self {
        Self::Ranges(chart)
    }
}

impl From<StackedBars> for Plot {
    fn from(chart: StackedBars) -> Self {
        Self::Stack(chart)
    }
}

impl From<ImagePanel> for Plot {
    fn from(panel: ImagePanel) -> Self {
        Self::Panel(panel)
    }
}
