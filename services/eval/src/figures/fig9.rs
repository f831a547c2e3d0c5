//! Figure 9: what the variable auto-tiler loses against a model of its own for each point and ratio.

use std::rc::Rc;

use autotiler_graph::tiler::Grade;
use autotiler_model::TilerKind;
use autotiler_plot::{Axis, LineChart, Series};
use serde::Serialize;

use super::{
    FigureError, RATES_KBIT, Study,
    derived::{Line, Step, losses, mean},
    sheet::Sheet,
};

/// The paper's mean loss, in percent.
const STATED_LOSS: f64 = 1.15;

/// A row of `fig9.csv`; the rate is none at lossless coding.
#[derive(Serialize)]
struct Row {
    layer: u16,
    grade: &'static str,
    cr: u16,
    rate_kbit: Option<f64>,
    independent_map50_cut: Option<f64>,
    variable_map50_cut: Option<f64>,
    loss_points: f64,
}

/// Both variants of one point and grade.
struct Pair {
    layer: u16,
    grade: Grade,
    cr: u16,
    independent: Rc<Line>,
    variable: Rc<Line>,
}

pub(super) fn draw(study: &Study<'_>, sheet: &mut Sheet) -> Result<(), FigureError> {
    let mut methods = Vec::new();
    for point in study.plan()?.points() {
        for grade in [Grade::Fine, Grade::Coarse] {
            let method = |kind| study.auto_tiler(point, grade, kind);
            methods.push((point, grade, method(TilerKind::PaperSolo)?, method(TilerKind::Paper)?));
        }
    }
    let mut pairs = Vec::new();
    for (point, grade, independent, variable) in methods {
        let (independent, variable) = (study.line(independent)?, study.line(variable)?);
        pairs.push(Pair {
            layer: point.layer.0,
            grade,
            cr: point.spec(grade).cr.get(),
            independent,
            variable,
        });
    }
    let rows: Vec<Row> = pairs.iter().flat_map(Pair::rows).collect();
    let all: Vec<f64> = rows.iter().map(|row| row.loss_points).collect();
    let uncoded: Vec<f64> =
        rows.iter().filter(|row| row.rate_kbit.is_none()).map(|row| row.loss_points).collect();
    sheet.plot("", chart(study, &pairs))?;
    let loss = mean(&all);
    sheet.claim(
        format!("the variable model loses about {STATED_LOSS} % of mAP"),
        loss.map_or_else(String::new, |loss| {
            let at_lossless = mean(&uncoded).unwrap_or(f64::NAN);
            format!(
                "{loss:.2} points on average over {} pairs of point, ratio and rate ({at_lossless:.2} at lossless)",
                all.len()
            )
        }),
        loss.map(|loss| loss <= STATED_LOSS),
    );
    sheet.note("Each curve is the mean over all points, at rates that each of them reaches, and at lossless coding; all of them are in the CSV.");
    sheet.table("", rows)
}

impl Pair {
    fn independent(&self) -> &Line {
        &self.independent
    }

    fn variable(&self) -> &Line {
        &self.variable
    }

    fn rows(&self) -> impl Iterator<Item = Row> {
        losses(&self.independent, &self.variable, &RATES_KBIT).into_iter().map(|(rate_kbit, loss_points)| {
            let map = |line: &Line| rate_kbit.map_or_else(|| line.lossless_map(), |kbit| line.map_at(kbit));
            Row {
                layer: self.layer,
                grade: name(self.grade),
                cr: self.cr,
                rate_kbit,
                independent_map50_cut: map(&self.independent),
                variable_map50_cut: map(&self.variable),
                loss_points,
            }
        })
    }
}

fn name(grade: Grade) -> &'static str {
    match grade {
        Grade::Fine => "fine",
        Grade::Coarse => "coarse",
    }
}

fn chart(study: &Study<'_>, pairs: &[Pair]) -> LineChart {
    let uncut = study.uncut().map50_cut;
    let mut chart = LineChart::new(
        "Independent and variable auto-tilers, mean of all points",
        Axis::log("kbit per image"),
        Axis::linear("mAP@0.5, scores above 0.5").covering(0.0, uncut * 1.05),
    )
    .subtitle(study.subtitle())
    .reference(uncut, "uncut");
    let variants = [("Independent", Pair::independent as fn(&Pair) -> &Line), ("Variable", Pair::variable)];
    for (variant, line) in variants {
        for grade in [Grade::Fine, Grade::Coarse] {
            let of_grade: Vec<&Line> = pairs.iter().filter(|pair| pair.grade == grade).map(line).collect();
            let at = |&kbit: &f64| {
                let values: Vec<f64> = of_grade.iter().filter_map(|line| line.map_at(kbit)).collect();
                // A mean over some points only would jump.
                mean(&values).filter(|_| values.len() == of_grade.len()).map(|map| (kbit, map))
            };
            let mut points: Vec<(f64, f64)> = RATES_KBIT.iter().filter_map(at).collect();
            let lossless: Vec<_> = of_grade.iter().filter_map(|line| line.lossless()).collect();
            let mean_of =
                |of: fn(&Step) -> f64| mean(&lossless.iter().map(|step| of(step)).collect::<Vec<_>>());
            points.extend(mean_of(|step| step.kbit).zip(mean_of(|step| step.accuracy.map50_cut)));
            points.sort_by(|a, b| a.0.total_cmp(&b.0));
            if !points.is_empty() {
                chart = chart.series(Series::new(format!("{variant}, {}", name(grade)), points));
            }
        }
    }
    chart
}
