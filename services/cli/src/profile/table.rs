//! The profile as people read it.

use autotiler_crds::profile::{MeasuredPoint, MeasuredRoute, PartitionProfileSpec};
use comfy_table::{CellAlignment, Table, presets::UTF8_HORIZONTAL_ONLY};

pub(super) fn table(profile: &PartitionProfileSpec) -> Table {
    let mut table = Table::new();
    table.load_preset(UTF8_HORIZONTAL_ONLY).set_header([
        "point",
        "device ms",
        "p95",
        "server ms",
        "in runs of 8",
        "kbit",
        "drop ‰",
        "MiB",
    ]);
    for point in &profile.points {
        table.add_row(row(point));
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn row(point: &MeasuredPoint) -> [String; 8] {
    let ms = |us: u32| format!("{:.1}", f64::from(us) / 1e3);
    let run = |batch: u16| point.server.iter().find(|run| run.batch == batch);
    let frame_ms = |batch| run(batch).map(|run| ms((run.decode_us + run.tail_us) / u32::from(batch.max(1))));
    let ends = || point.rates.first().zip(point.rates.last());
    let kbit = |bits: u32| format!("{:.1}", f64::from(bits) / 1e3);
    let none = || "-".to_owned();
    [
        name(point),
        ms(point.device.p50_us),
        ms(point.device.p95_us),
        frame_ms(1).unwrap_or_else(none),
        frame_ms(8).unwrap_or_else(none),
        ends().map_or_else(none, |(few, many)| format!("{} - {}", kbit(few.bits), kbit(many.bits))),
        ends().map_or_else(none, |(few, many)| {
            format!("{} - {}", few.accuracy_drop_permille, many.accuracy_drop_permille)
        }),
        format!("{:.0}", f64::from(point.memory_kib) / 1024.0),
    ]
}

/// The route as an operating point spells it.
pub(super) fn name(point: &MeasuredPoint) -> String {
    match point.route {
        MeasuredRoute::DeviceOnly => "device-only".to_owned(),
        MeasuredRoute::ServerOnly => "server-only".to_owned(),
        MeasuredRoute::Split => {
            let number = |value: Option<u16>| value.map_or_else(|| "?".to_owned(), |value| value.to_string());
            format!("layer={},cr={}", number(point.layer), number(point.cr))
        }
    }
}
