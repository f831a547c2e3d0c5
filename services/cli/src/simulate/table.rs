//! The figures for people.

use autotiler_core::Route;
use autotiler_simulator::{LinkReport, TraceFigures, best_on_average};
use comfy_table::{CellAlignment, Table, presets::UTF8_HORIZONTAL_ONLY};

const HEADER: [&str; 12] = [
    "link",
    "regret",
    "calm",
    "late",
    "mean ms",
    "best static",
    "p50",
    "p95",
    "static p95",
    "switches/min",
    "guard/min",
    "cut",
];

/// Prints the policy's figures, one row a link and their mean, and the strategies beside it.
pub(super) fn print(reports: &[LinkReport], mean: &TraceFigures) {
    let mut table = Table::new();
    table.load_preset(UTF8_HORIZONTAL_ONLY).set_header(HEADER);
    for figures in reports.iter().map(|report| &report.figures).chain((reports.len() > 1).then_some(mean)) {
        table.add_row(row(figures));
    }
    align(&mut table);
    println!("the policy, on effective time\n{table}\n");

    let mut table = Table::new();
    table.load_preset(UTF8_HORIZONTAL_ONLY).set_header([
        "link",
        "oracle",
        "clairvoyant",
        "policy",
        "best static",
        "which",
        "server-only",
        "device-only",
        "policy kbit/s",
        "policy -mAP",
    ]);
    reports.iter().for_each(|report| {
        table.add_row(beside(report));
    });
    align(&mut table);
    println!("mean effective time in ms, every strategy\n{table}");
    if reports.len() > 1
        && let Some((point, fixed)) = best_on_average(reports)
    {
        println!(
            "\nbest on average over these links: {point}, {fixed:.0} ms; the policy: {:.0} ms, {:+.1} %",
            mean.mean_ms,
            100.0 * (mean.mean_ms / fixed - 1.0)
        );
    }
}

fn row(figures: &TraceFigures) -> Vec<String> {
    let percent = |share: f64| format!("{:.1} %", 100.0 * share);
    let ms = |ms: f64| format!("{ms:.0}");
    vec![
        figures.name.clone(),
        percent(figures.regret),
        percent(figures.regret_calm),
        format!("{:.2} %", 100.0 * figures.late_share),
        ms(figures.mean_ms),
        ms(figures.best_static_mean_ms),
        ms(figures.p50_ms),
        ms(figures.p95_ms),
        ms(figures.best_static_p95_ms),
        format!("{:.1}", figures.switches_per_min),
        format!("{:.1}", figures.guard_moves_per_min),
        percent(figures.cut_share),
    ]
}

fn beside(report: &LinkReport) -> Vec<String> {
    let ms = |seconds: f64| format!("{:.0}", seconds * 1e3);
    let only = |route| report.only(route).map_or_else(|| "-".to_owned(), |one| ms(one.spread.mean_s));
    let best = report.best_static();
    vec![
        report.figures.name.clone(),
        ms(report.oracle.mean_s),
        ms(report.clairvoyant.mean_s),
        ms(report.policy.spread.mean_s),
        best.map_or_else(|| "-".to_owned(), |best| ms(best.spread.mean_s)),
        best.and_then(|best| best.point).map_or_else(|| "-".to_owned(), |point| point.to_string()),
        only(Route::ServerOnly),
        only(Route::DeviceOnly),
        format!("{:.0}", report.policy.uplink_bps / 1e3),
        format!("{:.1} \u{2030}", report.policy.accuracy_drop_permille),
    ]
}

fn align(table: &mut Table) {
    table.column_iter_mut().skip(1).for_each(|column| column.set_cell_alignment(CellAlignment::Right));
}
