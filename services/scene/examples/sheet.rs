//! Draws a contact sheet of generated scenes: `cargo run -p autotiler-scene --example sheet -- OUT.png [FIRST]`.

use std::collections::BTreeSet;

use autotiler_scene::{World, WorldOptions, draw, world::CLASSES};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let out = args.next().ok_or("give the path of the sheet to write")?;
    let first: u32 = args.next().map_or(Ok(0), |text| text.parse())?;
    let world = World::new(WorldOptions { seed: 1, width: 320, height: 320 });
    let tiles: Vec<_> = (first..first + 12)
        .map(|index| {
            let mut scene = world.scene(index);
            for object in &scene.truth {
                draw::outline(&mut scene.picture, &object.bbox, draw::class_colour(object.class), 1);
            }
            let named = scene.truth.iter().filter_map(|object| CLASSES.get(usize::from(object.class)));
            let classes: BTreeSet<_> = named.copied().collect();
            let classes: Vec<_> = classes.into_iter().collect();
            (scene.picture, format!("scene {index}\n{}", classes.join(", ")))
        })
        .collect();
    std::fs::write(out, draw::sheet(&tiles, 4).encode_png()?)?;
    Ok(())
}
