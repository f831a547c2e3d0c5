//! Follows the controller: one list every few seconds, and more only about devices whose order has changed.

use std::{collections::BTreeMap, time::Duration};

use autotiler_core::DeviceId;
use futures::{StreamExt, stream};
use tokio::time::{MissedTickBehavior, interval};

use super::{AskError, Controller, Desk, Explained, News, PolicyState, Reach, Ruled, answer::Line};

/// How often the controller is asked.
const PERIOD: Duration = Duration::from_secs(1);
/// Questions about single devices at the same time.
const AT_ONCE: usize = 4;
/// Most of them in one round; the others wait for the next.
const A_ROUND: usize = 64;

/// Keeps `desk` as the controller has it, for ever.
pub async fn follow(controller: Controller, desk: Desk) {
    let mut ticks = interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let reach = match round(&controller, &desk).await {
            Ok(()) => Reach::Up,
            Err(error) => {
                // Said once, not each second.
                if desk.reach() != Reach::Away {
                    tracing::warn!(error = &error as &dyn std::error::Error, "decisions are not known");
                }
                Reach::Away
            }
        };
        desk.locked().reach = reach;
    }
}

async fn round(controller: &Controller, desk: &Desk) -> Result<(), AskError> {
    let lines: Vec<Line> = controller.ask("v1/devices").await?;
    let policies: Vec<PolicyState> = controller.ask("v1/policies").await?;
    let known = desk.locked().devices.clone();
    let changed = |line: &&Line| known.get(&line.device).is_none_or(|ruled| ruled.epoch != line.epoch);
    let asked: Vec<DeviceId> = lines.iter().filter(changed).take(A_ROUND).map(|l| l.device.clone()).collect();
    let mut ruled: BTreeMap<DeviceId, Ruled> = lines
        .into_iter()
        .filter_map(|line| {
            let before = known.get(&line.device)?;
            // One that waits for the next round keeps its old epoch, so that it is asked about then.
            let now = Ruled {
                policy: line.policy,
                synced: line.synced && before.epoch == line.epoch,
                ..before.clone()
            };
            Some((line.device, now))
        })
        .collect();
    let explained = stream::iter(asked).map(|device| async move {
        let explained = controller.device(&device).await;
        (device, explained)
    });
    let explained: Vec<_> = explained.buffer_unordered(AT_ONCE).collect().await;
    let mut news = Vec::new();
    for (device, explained) in explained {
        // A device that left in between is in no next list either.
        let Ok(explained) = explained else { continue };
        let before = known.get(&device);
        news.extend(fresh(&device, before, &explained));
        ruled.insert(device, rule(before, &explained));
    }
    let mut said = desk.locked();
    (said.devices, said.policies) = (ruled, policies);
    said.news.extend(news);
    Ok(())
}

/// Decisions after the newest that is known, oldest first; none of a device that is new to us: they are its past.
fn fresh<'a>(
    device: &'a DeviceId,
    before: Option<&Ruled>,
    explained: &'a Explained,
) -> impl Iterator<Item = News> + use<'a> {
    let newest_ms = before.map_or(u64::MAX, |ruled| ruled.newest_ms);
    let after = explained.history.iter().rev().filter(move |entry| entry.at_ms > newest_ms);
    after.map(|entry| News { device: device.clone(), entry: entry.clone() })
}

fn rule(before: Option<&Ruled>, explained: &Explained) -> Ruled {
    let chosen = explained.assigned.as_ref().and_then(|assigned| assigned.chosen.as_ref());
    let newest = explained.history.first().map(|entry| entry.at_ms);
    Ruled {
        policy: explained.policy.clone(),
        epoch: explained.epoch,
        synced: explained.synced,
        accuracy_drop_permille: chosen.map(|chosen| chosen.accuracy_drop_permille),
        newest_ms: newest.or(before.map(|ruled| ruled.newest_ms)).unwrap_or(0),
    }
}
