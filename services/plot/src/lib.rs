//! Clean scientific plots: one drawing, an SVG and the PNG rasterised from it.
