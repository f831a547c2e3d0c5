//! Operators that move values without changing them.

use crate::export::{ExportError, format::AttributeProto, lower::Lowering, proto};

impl Lowering<'_, '_> {
    pub(super) fn concat(&mut self) -> Result<String, ExportError> {
        let count = self.node.inputs.len().max(1);
        let names: Vec<String> = (0..count).map(|input| self.input(input)).collect::<Result<_, _>>()?;
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        Ok(self.last("Concat", &names, vec![proto::int("axis", 1)]))
    }

    pub(super) fn upsample(&mut self, factor: usize) -> Result<String, ExportError> {
        let x = self.input(0)?;
        let factor = factor as f32;
        let scales = self.constant(proto::floats(&self.part("scales"), &[4], &[1.0, 1.0, factor, factor]));
        let attributes = vec![
            proto::text("mode", "nearest"),
            proto::text("coordinate_transformation_mode", "asymmetric"),
            proto::text("nearest_mode", "floor"),
        ];
        // The empty second input is the region of interest, unused here.
        Ok(self.last("Resize", &[&x, "", &scales], attributes))
    }

    /// Keeps `starts .. ends`, one of each per axis from `first_axis` on.
    pub(super) fn slice(&mut self, x: &str, first_axis: usize, starts: &[usize], ends: &[usize]) -> String {
        let axes: Vec<usize> = (first_axis..).take(starts.len()).collect();
        let starts = self.ints("starts", starts);
        let ends = self.ints("ends", ends);
        let axes = self.ints("axes", &axes);
        self.last("Slice", &[x, &starts, &ends, &axes], vec![])
    }

    pub(super) fn pad_edge(&mut self, bottom: usize, right: usize) -> Result<String, ExportError> {
        let x = self.input(0)?;
        let pads = self.ints("pads", &[0, 0, 0, 0, 0, 0, bottom, right]);
        Ok(self.last("Pad", &[&x, &pads], vec![proto::text("mode", "edge")]))
    }

    /// Maps side by side: fill up with empty maps, then swap the map's column with the row inside it.
    pub(super) fn tile(&mut self, cols: usize, rows: usize) -> Result<String, ExportError> {
        let mut maps = self.input(0)?;
        let from = self.input_shape()?;
        let empty = (cols * rows).saturating_sub(from.c);
        if empty > 0 {
            let pads = self.ints("pads", &[0, 0, 0, 0, 0, empty, 0, 0]);
            maps = self.step("filled", "Pad", &[&maps, &pads], vec![proto::text("mode", "constant")]);
        }
        if cols > 1 {
            maps = self.swapped(&maps, [rows, cols, from.h, from.w]);
        }
        Ok(self.reshaped(&maps, [1, rows * from.h, cols * from.w]))
    }

    pub(super) fn untile(&mut self, cols: usize, rows: usize) -> Result<String, ExportError> {
        let mut maps = self.input(0)?;
        let to = self.node.shape;
        if cols > 1 {
            maps = self.swapped(&maps, [rows, to.h, cols, to.w]);
        }
        if to.c == cols * rows {
            return Ok(self.reshaped(&maps, [to.c, to.h, to.w]));
        }
        let all = self.ints("all.dims", &[0, cols * rows, to.h, to.w]);
        let all = self.step("all", "Reshape", &[&maps, &all], vec![]);
        Ok(self.slice(&all, 1, &[0], &[to.c]))
    }

    /// Takes `x` as `[N, a, b, c, d]` and yields `[N, a, c, b, d]`.
    fn swapped(&mut self, x: &str, [a, b, c, d]: [usize; 4]) -> String {
        let dims = self.ints("grid.dims", &[0, a, b, c, d]);
        let grid = self.step("grid", "Reshape", &[x, &dims], vec![]);
        let perm: AttributeProto = proto::int_list("perm", &[0, 1, 3, 2, 4]);
        self.step("swapped", "Transpose", &[&grid], vec![perm])
    }

    fn reshaped(&mut self, x: &str, [c, h, w]: [usize; 3]) -> String {
        // 0 keeps the batch.
        let dims = self.ints("dims", &[0, c, h, w]);
        self.last("Reshape", &[x, &dims], vec![])
    }
}
