use super::*;

fn parse(text: &str) -> Result<RecipeFile, RecipeError> {
    RecipeFile::parse(text, "test")
}

/// An error with all its causes.
fn told(text: &str) -> String {
    let error = parse(text).unwrap_err();
    let mut whole = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(inner) = cause {
        whole += &format!(": {inner}");
        cause = inner.source();
    }
    whole
}

#[test]
fn every_built_in_recipe_is_for_its_preset() {
    for (name, preset, text) in BUILT_IN {
        let recipe = parse(text).unwrap();
        assert_eq!(recipe.preset, preset, "{name}");
    }
}

#[test]
fn a_recipe_may_be_short() {
    let recipe = parse("{format: 1, preset: lite}").unwrap();
    assert_eq!(recipe, RecipeFile::for_any(TilerPreset::Lite));
    assert_eq!(recipe.run().validation_gains, VALIDATION_GAINS);
}

#[test]
fn recipes_round_trip() {
    for preset in [TilerPreset::Lite, TilerPreset::Paper, TilerPreset::Omni] {
        let recipe = RecipeFile::for_any(preset);
        let text = serde_yaml::to_string(&recipe).unwrap();
        assert_eq!(parse(&text).unwrap(), recipe);
    }
}

#[test]
fn unknown_keys_are_named() {
    assert!(told("{format: 1, preset: lite, stepz: 4}").contains("stepz"));
    assert!(told("{format: 1, preset: lite, training: {learning_rate: 1}}").contains("learning_rate"));
    assert!(told("{format: 1, preset: heavy}").contains("heavy"));
    assert!(told("{format: 2, preset: lite}").contains("format 2"));
}

#[test]
fn numbers_out_of_range_are_named_with_what_is_allowed() {
    for (section, key) in [
        ("training: {learningRate: 5}", "training.learningRate is 5; allowed is a number above 0, up to 0.1"),
        ("training: {learningRate: .nan}", "training.learningRate"),
        ("training: {batch: 0}", "training.batch is 0; allowed is 1 to 1024"),
        ("training: {steps: 0}", "training.steps"),
        ("training: {warmUp: 601}", "training.warmUp"),
        ("training: {finestGain: 80}", "training.finestGain"),
        ("training: {coarsestGain: 121}", "training.coarsestGain"),
        ("training: {validateEvery: 0}", "training.validateEvery"),
        ("training: {patience: 0}", "training.patience"),
        ("pictures: {limit: 0}", "pictures.limit"),
        ("pictures: {train: ../x}", "pictures.train"),
        ("lite: {decoderWidth: 0}", "lite.decoderWidth"),
    ] {
        let said = told(&format!("{{format: 1, preset: lite, {section}}}"));
        assert!(said.contains(key), "{said}");
    }
    assert!(told("{format: 1, preset: lite, points: [{layer: 3, cr: 0}]}").contains("points"));
    let twice = "{format: 1, preset: lite, points: [{layer: 3, cr: 1}, {layer: 3, cr: 1}]}";
    assert!(told(twice).contains("layer 3 at compression ratio 1 twice"));
}

#[test]
fn default_points_are_partition_points_of_distinct_shapes() {
    use autotiler_graph::{
        darknet::{BatchNorm, Cfg, Network, WidthMultiplier, init, yolov3},
        partition,
    };
    let text = yolov3::cfg(&yolov3::Options {
        width: WidthMultiplier::try_new(0.0625).unwrap(),
        ..Default::default()
    });
    let cfg = Cfg::parse(&text.to_string()).unwrap();
    let network = Network::build(&cfg, &init(&cfg, 1).unwrap(), BatchNorm::Folded).unwrap();
    let points = default_points(&network);
    let real = partition::points(&network);
    let shapes: Vec<_> = points
        .iter()
        .filter(|point| point.cr.get() == 1)
        .map(|point| real.iter().find(|p| p.layer == point.layer).unwrap().shape)
        .collect();
    assert!(!shapes.is_empty());
    assert!(shapes.iter().enumerate().all(|(i, shape)| !shapes[..i].contains(shape)), "{points:?}");
}

#[test]
fn points_are_read_as_they_are_written() {
    let point: Point = "35:4".parse().unwrap();
    assert_eq!(point.to_string(), "35:4");
    for text in ["35", "35:0", ":1", "a:1", "35:1:1"] {
        assert!(text.parse::<Point>().is_err(), "{text}");
    }
}

#[test]
fn no_text_makes_the_reader_panic() {
    bolero::check!().with_type::<String>().with_iterations(2000).for_each(|text| {
        let _ = parse(text);
    });
}
