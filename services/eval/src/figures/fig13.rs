//! Figure 13: from which to which compression ratio a method is effective.

use autotiler_plot::{Axis, RangeSeries, Ranges};
use serde::Serialize;

use super::{
    EFFECTIVE_SHARE, FigureError, Study,
    derived::{Effective, Line, mean},
    sheet::Sheet,
    study::PointLines,
};

/// Bits of a 32-bit float for each of an 8-bit value.
const FLOATS: f64 = 4.0;

/// A row of `fig13.csv`.
#[derive(Serialize)]
struct Row {
    layer: u16,
    method: String,
    reaches: bool,
    open_ended: bool,
    lossless_kbit: Option<f64>,
    kbit_at_85_percent: Option<f64>,
    low_features8: Option<f64>,
    high_features8: Option<f64>,
    low_features32: Option<f64>,
    high_features32: Option<f64>,
    low_picture8: Option<f64>,
    high_picture8: Option<f64>,
}

/// A method's range at each point, none where it is not effective.
struct Reach {
    name: &'static str,
    ranges: Vec<Option<Effective>>,
}

pub(super) fn draw(study: &Study<'_>, sheet: &mut Sheet) -> Result<(), FigureError> {
    let points = study.all_lines()?;
    let uncut = study.uncut();
    let of = |name, line: &dyn Fn(&PointLines) -> Option<Effective>| Reach {
        name,
        ranges: points.iter().map(line).collect(),
    };
    let mut reaches = vec![
        of("FPC", &|point| point.frames.effective(uncut)),
        of("Tiling", &|point| point.tiling.effective(uncut)),
        of("Auto-tiler fine", &|point| point.fine.effective(uncut)),
        of("Auto-tiler coarse", &|point| point.coarse.effective(uncut)),
        of("Auto-tiler both", &|point| both(point.fine.effective(uncut), point.coarse.effective(uncut))),
    ];
    for kind in ["lite", "omni", "klt"] {
        let line = |point: &PointLines| {
            let (_, line) = point.beside.iter().find(|(own, _)| own.name() == kind)?;
            line.effective(uncut)
        };
        reaches.push(of(kind, &line));
    }
    reaches.retain(|reach| reach.ranges.iter().any(Option::is_some));
    if reaches.is_empty() {
        sheet.note("No method reaches 85 % of the uncut mAP at any point, so there is nothing to plot.");
    } else {
        sheet.plot("", chart(study, &points, &reaches))?;
    }
    claims(sheet, &reaches, points.len());
    sheet.note(format!(
        "Base: the values of the feature map at 8 bits, which is what the paper's numbers fit; the CSV also has \
         32-bit floats ({FLOATS} times as large) and the network's picture at 8 bits. From lossless HEVC down to \
         {:.0} % of the uncut mAP, scores above 0.5. Where even the coarsest setting is effective the true end \
         lies further (open_ended in the CSV). Averages are over the points where a method is effective at all.",
        100.0 * EFFECTIVE_SHARE
    ));
    let picture_kbit = study.model().network.input.len() as f64 * 8.0 / 1e3;
    let rows = points.iter().flat_map(|point| {
        let mut lines: Vec<&Line> = vec![&point.frames, &point.tiling, &point.fine, &point.coarse];
        lines.extend(point.beside.iter().map(|(_, line)| line.as_ref()));
        let row = |line: &Line| row(point.layer.0, line, line.effective(uncut), picture_kbit);
        lines.into_iter().map(row).collect::<Vec<_>>()
    });
    sheet.table("", rows)
}

/// From the fine ratio's best to the end of whichever goes further.
fn both(fine: Option<Effective>, coarse: Option<Effective>) -> Option<Effective> {
    match (fine, coarse) {
        (Some(fine), Some(coarse)) => {
            let further = if coarse.high > fine.high { coarse } else { fine };
            Some(Effective { low: fine.low.min(coarse.low), ..further })
        }
        (one, other) => one.or(other),
    }
}

fn chart(study: &Study<'_>, points: &[PointLines], reaches: &[Reach]) -> Ranges {
    let mut chart = Ranges {
        title: "Range of effective compression ratios".to_owned(),
        subtitle: format!("{}; base: 8-bit features", study.subtitle()),
        x_label: "partition point".to_owned(),
        groups: points.iter().map(|point| format!("layer {}", point.layer)).collect(),
        y: Axis::log("effective compression ratio"),
        series: Vec::new(),
        print_values: true,
    };
    for reach in reaches {
        let ranges =
            reach.ranges.iter().map(|range| range.map(|range| (range.low.min(range.high), range.high)));
        let mut series = RangeSeries::new(reach.name, ranges);
        series.colour = match reach.name {
            "Auto-tiler coarse" => series.colour.tint(0.5),
            "Auto-tiler both" => series.colour.tint(0.25),
            _ => series.colour,
        };
        chart.series.push(series);
    }
    chart
}

/// One end of a range.
type End = fn(&Effective) -> f64;

fn claims(sheet: &mut Sheet, reaches: &[Reach], points: usize) {
    let average = |name: &str, of: End| {
        let reach = reaches.iter().find(|reach| reach.name == name)?;
        mean(&reach.ranges.iter().flatten().map(of).collect::<Vec<_>>())
    };
    let (low, high): (End, End) = (|range| range.low, |range| range.high);
    let words = |name: &str| {
        let (low, high) = (average(name, low)?, average(name, high)?);
        let reached = reaches.iter().find(|reach| reach.name == name)?.ranges.iter().flatten().count();
        Some(format!("{low:.1} to {high:.1} on average over {reached} of {points} layers"))
    };
    // These are numbers of another network; what compares is the ratio of their ends below.
    for (name, paper) in [
        ("FPC", "FPC is effective at 1.2 to 19.6 on average"),
        ("Tiling", "Tiling is effective at 1.8 to 25.5 on average"),
        ("Auto-tiler both", "the auto-tiler with both ratios is effective at 9.9 to 173.3 on average"),
    ] {
        sheet.claim(paper, words(name).unwrap_or_else(|| "at no layer".to_owned()), None);
    }
    for (name, times) in [("FPC", 8.8), ("Tiling", 6.8)] {
        let (ratio, layers) = end_against(reaches, name).unzip();
        sheet.claim(
            format!("its highest ratio is {times} times that of {name}"),
            ratio.zip(layers).map_or_else(
                || "both are effective at no layer".to_owned(),
                |(ratio, layers): (f64, usize)| {
                    format!("{ratio:.1} times on average over {layers} of {points} layers")
                },
            ),
            ratio.map(|ratio| ratio > 1.0 && layers == Some(points)),
        );
    }
}

/// How many times further the auto-tiler goes than `name`, on average over the layers where both are effective,
/// and how many these are.
fn end_against(reaches: &[Reach], name: &str) -> Option<(f64, usize)> {
    let of = |name: &str| reaches.iter().find(|reach| reach.name == name).map(|reach| &reach.ranges);
    let pairs = of("Auto-tiler both")?.iter().zip(of(name)?);
    let pairs: Vec<(f64, f64)> =
        pairs.filter_map(|(a, b)| Some((a.as_ref()?.high, b.as_ref()?.high))).collect();
    let (own, other): (Vec<f64>, Vec<f64>) = pairs.iter().copied().unzip();
    Some((mean(&own)? / mean(&other)?, pairs.len()))
}

fn row(layer: u16, line: &Line, range: Option<Effective>, picture_kbit: f64) -> Row {
    let scaled = |of: End, by: f64| range.as_ref().map(|range| of(range) * by);
    let picture = picture_kbit / line.raw_kbit;
    Row {
        layer,
        method: line.label.clone(),
        reaches: range.is_some(),
        open_ended: range.is_some_and(|range| range.is_open),
        lossless_kbit: line.lossless().map(|step| step.kbit),
        kbit_at_85_percent: range.map(|range| line.raw_kbit / range.high),
        low_features8: scaled(|range| range.low, 1.0),
        high_features8: scaled(|range| range.high, 1.0),
        low_features32: scaled(|range| range.low, FLOATS),
        high_features32: scaled(|range| range.high, FLOATS),
        low_picture8: scaled(|range| range.low, picture),
        high_picture8: scaled(|range| range.high, picture),
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{accuracy::Accuracy, derived::tests::line},
        *,
    };

    #[test]
    fn both_ratios_reach_from_the_fine_best_to_the_further_end() {
        let range = |low, high, is_open| Some(Effective { low, high, is_open });
        assert_eq!(both(range(4.0, 20.0, false), range(16.0, 90.0, true)), range(4.0, 90.0, true));
        assert_eq!(both(range(4.0, 99.0, false), range(16.0, 90.0, true)), range(4.0, 99.0, false));
        assert_eq!(both(None, range(16.0, 90.0, false)), range(16.0, 90.0, false));
        assert_eq!(both(None, None), None);
    }

    #[test]
    fn ends_are_compared_where_both_are_effective() {
        let range = |high| Some(Effective { low: 1.0, high, is_open: false });
        let reaches = [
            Reach { name: "Tiling", ranges: vec![range(10.0), range(1000.0), range(30.0)] },
            Reach { name: "Auto-tiler both", ranges: vec![range(60.0), None, range(100.0)] },
            Reach { name: "FPC", ranges: vec![None, range(2.0), None] },
        ];
        assert_eq!(end_against(&reaches, "Tiling"), Some((4.0, 2)));
        assert_eq!(end_against(&reaches, "FPC"), None);
    }

    #[test]
    fn bases_differ_by_their_bits() {
        let line = line(1000.0, &[(100.0, 0.8), (10.0, 0.1)]);
        let range = line.effective(Accuracy { map50: 0.9, map50_cut: 0.8 });
        let row = row(36, &line, range, 500.0);
        assert_eq!(
            (row.low_features8, row.low_features32, row.low_picture8),
            (Some(10.0), Some(40.0), Some(5.0))
        );
        assert!(row.reaches && !row.open_ended);
    }
}
