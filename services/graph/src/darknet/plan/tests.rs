use autotiler_core::Shape;

use super::*;

const NET: &str = "[net]\nwidth=16\nheight=8\n";

fn plan(layers: &str) -> Result<Plan, CfgError> {
    Plan::new(&Cfg::parse(&format!("{NET}{layers}")).unwrap())
}

fn last_shape(layers: &str) -> Shape {
    plan(layers).unwrap().layers.last().unwrap().shape
}

/// Line and fault; `[net]` has lines 1 to 3.
fn fault(layers: &str) -> (usize, CfgFault) {
    let error = plan(layers).unwrap_err();
    (error.line, error.fault)
}

#[test]
fn defaults_are_those_of_darknet() {
    let plan = plan("[convolutional]\n[upsample]\n[maxpool]\nstride=2\n[shortcut]\nfrom=-1").unwrap();
    let Kind::Conv(conv) = &plan.layers[0].kind else { panic!("{plan:?}") };
    assert_eq!((conv.out, conv.size, conv.stride, conv.pad, conv.groups), (1, 1, 1, 0, 1));
    assert_eq!((conv.activation, conv.batch_norm), (Activation::Logistic, false));
    assert_eq!(plan.layers[1].shape, Shape::new(1, 16, 32));
    assert_eq!(plan.layers[2].kind, Kind::MaxPool { size: 2, stride: 2, padding: 1 });
    assert_eq!(plan.layers[3].kind, Kind::Shortcut(Activation::Linear));
}

#[test]
fn shapes_are_those_of_darknet() {
    assert_eq!(last_shape("[conv]\nfilters=5\nsize=3\nstride=2\npad=1"), Shape::new(5, 4, 8));
    assert_eq!(last_shape("[conv]\nfilters=5\nsize=3\npadding=2"), Shape::new(5, 10, 18));
    assert_eq!(last_shape("[conv]\nsize=3\npad=1\ndilation=3"), Shape::new(1, 8, 16));
    // (8 + 1 - 2) / 2 + 1 and (8 + 2 - 3) / 1 + 1, as in make_maxpool_layer.
    assert_eq!(last_shape("[maxpool]\nsize=2\nstride=2"), Shape::new(3, 4, 8));
    assert_eq!(last_shape("[maxpool]\nsize=3\nstride=1"), Shape::new(3, 8, 16));
    assert_eq!(last_shape("[maxpool]\nsize=2\nstride=1"), Shape::new(3, 8, 16));
    assert_eq!(last_shape("[maxpool]\nsize=3\nstride=2\npadding=0"), Shape::new(3, 3, 7));
    assert_eq!(last_shape("[avgpool]"), Shape::new(3, 1, 1));
    assert_eq!(last_shape("[dropout]\nprobability=.5"), Shape::new(3, 8, 16));
}

#[test]
fn routes_join_maps_and_take_groups() {
    let two = "[conv]\nfilters=8\n[conv]\nfilters=4\n";
    assert_eq!(last_shape(&format!("{two}[route]\nlayers=-1,0")), Shape::new(12, 8, 16));
    assert_eq!(last_shape(&format!("{two}[route]\nlayers=-1,0\ngroups=2\ngroup_id=1")), Shape::new(6, 8, 16));
    let (line, value) = fault(&format!("{two}[route]\nlayers=0\ngroups=3"));
    assert!(matches!(value, CfgFault::Value { .. }), "{value:?}");
    assert_eq!(line, 10);
    assert!(matches!(
        fault(&format!("{two}[route]\nlayers=0\ngroups=2\ngroup_id=2")).1,
        CfgFault::Value { .. }
    ));
}

#[test]
fn references_to_no_earlier_layer_are_refused_with_their_line() {
    let conv = "[conv]\n";
    assert_eq!(fault(&format!("{conv}[route]\nlayers=-2")), (6, CfgFault::MissingLayer(-1)));
    assert_eq!(fault(&format!("{conv}[route]\nlayers=1")), (6, CfgFault::ForwardLayer(1)));
    assert_eq!(fault(&format!("{conv}[route]\nlayers=0,7")), (6, CfgFault::ForwardLayer(7)));
    assert_eq!(fault(&format!("{conv}[shortcut]\nfrom=5")), (6, CfgFault::ForwardLayer(5)));
    assert_eq!(fault(&format!("{conv}[shortcut]\nfrom=-9223372036854775808")).0, 6);
    assert_eq!(fault("[route]\nlayers=-1"), (5, CfgFault::MissingLayer(-1)));
    assert_eq!(fault(&format!("{conv}[route]")), (5, CfgFault::MissingKey("layers")));
    assert_eq!(fault(&format!("{conv}[shortcut]")), (5, CfgFault::MissingKey("from")));
}

#[test]
fn a_yolo_layer_needs_its_maps_and_feeds_none() {
    let head = "[conv]\nfilters=14\nactivation=linear\n[yolo]\nclasses=2\nanchors=1,2, 3,4\nnum=2\n";
    assert_eq!(last_shape(head), Shape::new(14, 8, 16));
    assert_eq!(fault(&format!("{head}[conv]")), (11, CfgFault::YoloAsInput(1)));
    assert_eq!(fault(&format!("{head}[route]\nlayers=1")), (12, CfgFault::YoloAsInput(1)));
    let wrong = head.replace("filters=14", "filters=15");
    assert_eq!(fault(&wrong), (7, CfgFault::HeadMaps { expected: 14, got: Shape::new(15, 8, 16) }));
    for (from, to) in [
        ("anchors=1,2, 3,4", "anchors=1,2,3"),
        ("anchors=1,2, 3,4", "anchors=1,2,3,0"),
        ("anchors=1,2, 3,4", "anchors=1,2,3,x"),
        ("num=2", "num=3"),
        ("num=2", "num=2\nmask=0,2"),
        ("num=2", "num=2\nnew_coords=1"),
        ("classes=2", "classes=0"),
    ] {
        let (_, value) = fault(&head.replace(from, to));
        assert!(matches!(value, CfgFault::Value { .. }), "{to}: {value:?}");
    }
    assert_eq!(fault(&head.replace("classes=2\n", "")), (7, CfgFault::MissingKey("classes")));
    assert_eq!(fault(&head.replace("anchors=1,2, 3,4\n", "")).1, CfgFault::MissingKey("anchors"));
}

#[test]
fn what_is_not_known_is_refused_with_its_line() {
    assert_eq!(fault("[conv]\n[lstm]"), (5, CfgFault::UnknownSection));
    assert_eq!(fault("[conv]\n\nxnor=1"), (6, CfgFault::UnknownKey("xnor".into())));
    assert_eq!(fault("[upsample]\nfilters=3"), (5, CfgFault::UnknownKey("filters".into())));
    for bad in [
        "[conv]\nfilters=many",
        "[conv]\nfilters=0",
        "[conv]\nfilters=65536",
        "[conv]\nstride=-1",
        "[conv]\nsize=1.5",
        "[conv]\npad=2",
        "[conv]\nactivation=gelu",
        "[upsample]\nscale=2",
        "[maxpool]\nmaxpool_depth=1",
    ] {
        assert!(matches!(fault(bad), (5, CfgFault::Value { .. })), "{bad}: {:?}", fault(bad));
    }
    let error = plan("[conv]\nactivation=gelu").unwrap_err().to_string();
    assert!(error.starts_with("cfg line 5, section [conv]: activation=gelu: expected linear"), "{error}");
}

#[test]
fn layers_that_do_not_fit_their_inputs_are_refused() {
    for bad in [
        "[conv]\nfilters=4\ngroups=2",
        "[conv]\nsize=99",
        "[maxpool]\nsize=3\npadding=9",
        "[conv]\nfilters=4\n[shortcut]\nfrom=-1\n[conv]\nfilters=2\n[shortcut]\nfrom=0",
        "[conv]\nstride=2\n[conv]\n[route]\nlayers=0,1\n[conv]\nstride=2\n[route]\nlayers=0,-1",
        "[upsample]\nstride=65535\n[upsample]\nstride=65535",
    ] {
        assert!(matches!(fault(bad).1, CfgFault::Layer(_)), "{bad}: {:?}", fault(bad));
    }
    let many = "[conv]\nfilters=65535\nsize=65535\npadding=65535\nstride=65535\n".to_owned();
    assert_eq!(fault(&many).1, CfgFault::TooManyWeights);
}

#[test]
fn net_needs_a_size_and_takes_training_options() {
    let net = |text: &str| Plan::new(&Cfg::parse(&format!("{text}\n[conv]")).unwrap());
    assert!(net("[net]\nwidth=8\nheight=8\nmomentum=0.9\npolicy=steps\nsteps=1,2").is_ok());
    assert_eq!(net("[net]\nheight=8").unwrap_err().fault, CfgFault::MissingKey("width"));
    assert!(matches!(net("[net]\nwidth=8\nheight=0").unwrap_err().fault, CfgFault::Value { .. }));
    let huge = net("[net]\nwidth=65535\nheight=65535\nchannels=65535");
    assert!(matches!(huge.unwrap_err().fault, CfgFault::Layer(_)));
    assert!(net("[net]\nwidth=8\nheight=8\nletter_box=1").is_err());
}

#[test]
fn no_text_makes_the_reader_panic() {
    // Words of the format, so that most texts get past the first line.
    const WORDS: [&str; 16] = [
        "[convolutional]\n",
        "[route]\nlayers=-1",
        "[shortcut]\nfrom=",
        "[yolo]\n",
        "[maxpool]\n",
        "[upsample]\n",
        "filters=",
        "size=",
        "groups=",
        "mask=",
        "anchors=",
        "-",
        ",",
        "\n",
        "7",
        "99999",
    ];
    bolero::check!().with_type::<(bool, Vec<u8>)>().with_iterations(3000).for_each(|(worded, bytes)| {
        let mut text = String::new();
        if *worded {
            text += NET;
            text.extend(bytes.iter().map(|byte| WORDS[usize::from(*byte) % WORDS.len()]));
        } else {
            text += &String::from_utf8_lossy(bytes);
        }
        if let Ok(cfg) = Cfg::parse(&text) {
            let again = Cfg::parse(&cfg.to_string()).map(|again| again.to_string());
            assert_eq!(again.as_ref(), Ok(&cfg.to_string()));
            let _ = Plan::new(&cfg);
        }
    });
}
