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
    assert_eq!(recipe.run().validation_gains, [13, 26, 39, 51].map(Gain));
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
        darknet::{BatchNorm, COCO_ANCHORS, Cfg, Network, WidthMultiplier, init, yolov3},
        partition,
    };
    let width = WidthMultiplier::try_new(0.0625).unwrap();
    let cfg = Cfg::parse(&yolov3(width, 64, 2, &COCO_ANCHORS).unwrap()).unwrap();
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
fn sections_of_other_presets_are_refused_and_not_written() {
    let points = "points: [4, 11, 15, 24, 36]";
    assert!(told(&format!("{{format: 1, preset: lite, paper: {{{points}}}}}")).contains("key paper"));
    assert!(told("{format: 1, preset: paper, omni: {teachers: []}}").contains("key omni"));
    assert!(told("{format: 1, preset: omni, training: {steps: 7}}").contains("key training"));
    assert!(told("{format: 1, preset: paper, points: [{layer: 3, cr: 1}]}").contains("key points"));
    let yaml = RecipeFile::for_any(TilerPreset::Paper).to_yaml();
    assert!(!yaml.contains("training") && !yaml.contains("lite"), "{yaml}");
    assert_eq!(parse(&yaml).unwrap(), RecipeFile::for_any(TilerPreset::Paper));
}

#[test]
fn numbers_of_paper_and_omni_are_held_to_their_ranges() {
    for (section, key) in [
        ("preset: paper, paper: {points: [4, 11, 15, 24, 36], epochs: 0}", "paper.epochs"),
        ("preset: paper, paper: {points: [4, 11, 15, 24, 36], variants: []}", "paper.variants"),
        ("preset: paper, paper: {points: [4, 11, 15, 24]}", "recipe test"),
        ("preset: paper, paper: {points: [4, 11, 15, 24, 36], stepz: 1}", "stepz"),
        ("preset: paper, paper: {points: [1, 2, 3, 4, 5], learningRates: {core: 2}}", "learningRates.core"),
        ("preset: omni, omni: {teachers: [{layers: []}]}", "omni.teachers"),
        ("preset: omni, omni: {teachers: [], training: {gains: [40, 20]}}", "omni.training.gains"),
        ("preset: omni, omni: {teachers: [], training: {width: 0}}", "omni.training.width"),
        ("preset: omni, omni: {teachers: [], training: {stepz: 1}}", "stepz"),
    ] {
        let said = told(&format!("{{format: 1, {section}}}"));
        assert!(said.contains(key), "{said}");
    }
}

#[test]
fn the_command_line_changes_the_section_of_its_preset() {
    let mut recipe = parse("{format: 1, preset: paper, paper: {points: [4, 11, 15, 24, 36]}}").unwrap();
    recipe.set_seed(7);
    recipe.set_length(2);
    recipe.pictures.limit = Some(30);
    assert!(recipe.paper.as_ref().is_some_and(|paper| (paper.seed, paper.epochs) == (7, 2)));
    recipe.check().unwrap();
    let mut recipe = parse("{format: 1, preset: omni, omni: {teachers: [{layers: [4]}]}}").unwrap();
    recipe.set_seed(7);
    recipe.set_length(12);
    recipe.pictures.limit = Some(30);
    recipe.check().unwrap();
    let training = recipe.omni_training().unwrap().training;
    assert_eq!((training.seed, training.steps, training.warm_up, training.pictures), (7, 12, 12, Some(30)));
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
