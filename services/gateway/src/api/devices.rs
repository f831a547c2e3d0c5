//! Devices and policies.

use std::{collections::BTreeMap, time::Instant};

use autotiler_core::{
    DeviceId, OperatingPoint, Route,
    telemetry::{Refusal, Telemetry},
};
use axum::{
    Json,
    extract::{Path, State},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Api, Problem};
use crate::{
    controller::{Desk, PolicyState},
    fleet::Heard,
    trail::{Moment, MomentKind, Sample},
};

/// Seconds of the link that go with a device in a list.
const SPARK: usize = 60;
/// How far back a list tells what happened, in milliseconds.
const LATELY_MS: u64 = 5 * 60 * 1000;
/// Most moments in a list.
const MOMENTS: usize = 100;

/// All devices that speak.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeviceList {
    /// The gateway's clock, in milliseconds since 1970.
    pub now_ms: u64,
    /// `up`, `away` (it does not answer) or `absent` (nobody said where it is).
    pub controller: &'static str,
    /// `up`, or `away`: nats-server is not reached, so that nobody can be heard.
    pub broker: &'static str,
    /// Whether a token opens pins and suspensions.
    pub writable: bool,
    /// By name.
    pub devices: Vec<Device>,
    /// What happened to them in the last five minutes, oldest first; of much, the newest.
    pub moments: Vec<MomentView>,
    /// What the controller said of its policies; none while it is away.
    pub policies: Vec<PolicyState>,
}

/// One device, as it said last. What is not known is null, never 0.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Device {
    /// Its name.
    pub name: String,
    /// When it spoke, in milliseconds since 1970.
    pub at_ms: u64,
    /// What kind of device it is.
    pub device_class: String,
    /// Digest of its network.
    pub network: String,
    /// Milliseconds since its start.
    pub uptime_ms: u64,
    /// `split`, `device-only` or `server-only`: where the work is done now.
    pub route: &'static str,
    /// The point in force.
    #[schema(value_type = String, example = "layer=36,cr=4,bits=12k")]
    pub point: OperatingPoint,
    /// The point of the order that it obeys.
    #[schema(value_type = String)]
    pub assigned: OperatingPoint,
    /// Of the order that it obeys; 0 before the first.
    pub epoch: u32,
    /// Whether that is its newest order; null where the controller is not known to say so.
    pub synced: Option<bool>,
    /// The policy that decides for it.
    pub policy: Option<String>,
    /// Expected loss of accuracy at the ordered point, in thousandths.
    pub accuracy_drop_permille: Option<u16>,
    /// What its policy allows of it.
    pub accuracy_budget_permille: Option<u16>,
    /// How long its guard has held it at the safe point; null while it follows its order.
    pub guarded_for_ms: Option<u64>,
    /// Moves of its guard, both ways.
    pub guard_moves: u64,
    /// Orders that changed its point.
    pub switches: u64,
    /// The newest order that it cannot obey.
    pub refused: Option<RefusedOrder>,
    /// Capacity of its uplink in bit/s, when measured lately.
    pub uplink_bps: Option<u64>,
    /// The same in kbit/s over the last minute, oldest first; only in lists.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub uplink_trail_kbps: Vec<Option<u32>>,
    /// Smallest round trip to the broker lately.
    pub rtt_us: Option<u64>,
    /// Age of the oldest frame that has not got through.
    pub queue_age_us: u64,
    /// Frames received per second.
    pub frames_per_second: f64,
    /// From capture to detections, median.
    pub total_p50_us: Option<u64>,
    /// From capture to detections, 95th percentile.
    pub total_p95_us: Option<u64>,
    /// Medians of the stages at the point in force, in microseconds, by name; those that are known.
    pub stages_us: BTreeMap<&'static str, u64>,
    /// Frames since its start, by what became of them.
    pub frames: Frames,
    /// Share of frames cut below the point's bits, in thousandths.
    pub cut_permille: u16,
}

/// An order that is not obeyed.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct RefusedOrder {
    /// Its epoch.
    pub epoch: u32,
    /// Why, in a word of a closed list.
    pub reason: &'static str,
    /// Why, in words for people.
    pub detail: String,
}

/// Frames by what became of them.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Frames {
    /// That the source gave.
    pub captured: u64,
    /// Handed to the broker, or done on the device.
    pub sent: u64,
    /// Whose detections came.
    pub received: u64,
    /// Not sent, by reason.
    pub dropped: BTreeMap<String, u64>,
    /// Sent in vain, by reason.
    pub lost: BTreeMap<String, u64>,
}

/// A device with its last minutes.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct DeviceDetail {
    /// As in the list.
    #[serde(flatten)]
    pub device: Device,
    /// Second by second, oldest first.
    pub trail: Vec<Second>,
    /// What happened to it, oldest first.
    pub moments: Vec<MomentView>,
}

/// One second of a device.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Second {
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// Capacity of the uplink in bit/s.
    pub uplink_bps: Option<u64>,
    /// From capture to detections, 95th percentile, in microseconds.
    pub total_p95_us: Option<u64>,
    /// The point in force.
    #[schema(value_type = String)]
    pub point: OperatingPoint,
    /// Whether its guard holds it there.
    pub guarded: bool,
}

/// Something that happened to a device.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MomentView {
    /// Whom.
    pub device: String,
    /// When it was heard of, in milliseconds since 1970.
    pub at_ms: u64,
    /// `switched`, `guarded`, `released`, `refused`, `restarted` or `returned`.
    pub kind: &'static str,
    /// The point before.
    #[schema(value_type = String)]
    pub from: OperatingPoint,
    /// The point after.
    #[schema(value_type = String)]
    pub to: OperatingPoint,
    /// Of the order that it obeys, or refuses.
    pub epoch: u32,
    /// More, in words.
    pub detail: String,
}

impl DeviceList {
    /// Everything that is known at `now`.
    pub(crate) fn at(api: &Api, now: Instant) -> Self {
        let (mut devices, mut moments) = (Vec::new(), Vec::new());
        let now_ms = api.fleet.unix_ms(now);
        api.fleet.each(now, |heard| {
            devices.push(Device::of(heard, &api.desk).with_spark(heard));
            let lately = heard.trail.moments().filter(|moment| moment.at_ms + LATELY_MS >= now_ms);
            moments.extend(lately.map(|moment| MomentView::of(&heard.telemetry.device, moment)));
        });
        devices.sort_by(|a, b| a.name.cmp(&b.name));
        moments.sort_by_key(|moment| moment.at_ms);
        moments.drain(..moments.len().saturating_sub(MOMENTS));
        Self {
            now_ms,
            controller: api.desk.reach().label(),
            broker: api.lives.broker(),
            writable: api.writer.is_some(),
            devices,
            moments,
            policies: api.desk.policies(),
        }
    }
}

impl Device {
    /// What a device said, and what was decided for it.
    pub(crate) fn of(heard: &Heard, desk: &Desk) -> Self {
        let Telemetry { device, device_class, network, point, assigned, epoch, .. } = &*heard.telemetry;
        let t = &heard.telemetry;
        let ruled = desk.device(device);
        let policy = ruled.as_ref().and_then(|ruled| desk.policy(&ruled.policy));
        let stages = [
            ("head", t.stage_us.head),
            ("codec", t.stage_us.codec),
            ("boxes", t.stage_us.boxes),
            ("serverQueue", t.server_us.queue_p95),
            ("serverDecode", t.server_us.decode),
            ("serverTail", t.server_us.tail),
        ];
        Self {
            name: device.to_string(),
            at_ms: heard.at_ms,
            device_class: device_class.clone(),
            network: network.to_string(),
            uptime_ms: t.uptime_ms,
            route: route(*point),
            point: *point,
            assigned: *assigned,
            epoch: epoch.0,
            synced: ruled.as_ref().map(|ruled| ruled.synced),
            accuracy_drop_permille: ruled.as_ref().and_then(|ruled| ruled.accuracy_drop_permille),
            accuracy_budget_permille: policy.and_then(|policy| policy.max_accuracy_drop_permille),
            policy: ruled.map(|ruled| ruled.policy),
            guarded_for_ms: t.guarded_for_ms,
            guard_moves: t.guard_moves,
            switches: t.switches,
            refused: t.refused.as_ref().map(RefusedOrder::of),
            uplink_bps: t.uplink_bps,
            uplink_trail_kbps: Vec::new(),
            rtt_us: t.rtt_us,
            queue_age_us: t.queue_age_us,
            frames_per_second: t.frames_per_second,
            total_p50_us: t.total_us.p50,
            total_p95_us: t.total_us.p95,
            stages_us: stages.into_iter().filter_map(|(name, us)| Some((name, us?))).collect(),
            frames: Frames {
                captured: t.captured,
                sent: t.sent,
                received: t.received,
                dropped: t.dropped.clone(),
                lost: t.lost.clone(),
            },
            cut_permille: t.cut_permille,
        }
    }

    fn with_spark(mut self, heard: &Heard) -> Self {
        let samples = heard.trail.samples();
        let skip = samples.len().saturating_sub(SPARK);
        let kbps =
            |sample: &Sample| sample.uplink_bps.map(|bps| u32::try_from(bps / 1000).unwrap_or(u32::MAX));
        self.uplink_trail_kbps = samples.skip(skip).map(kbps).collect();
        self
    }
}

impl RefusedOrder {
    fn of(refusal: &Refusal) -> Self {
        Self { epoch: refusal.epoch.0, reason: refusal.reason.label(), detail: refusal.detail.clone() }
    }
}

impl MomentView {
    /// What happened to `device`.
    pub(crate) fn of(device: &DeviceId, moment: &Moment) -> Self {
        let kind = match moment.kind {
            MomentKind::Switched => "switched",
            MomentKind::Guarded => "guarded",
            MomentKind::Released => "released",
            MomentKind::Refused => "refused",
            MomentKind::Restarted => "restarted",
            MomentKind::Returned => "returned",
        };
        Self {
            device: device.to_string(),
            at_ms: moment.at_ms,
            kind,
            from: moment.from,
            to: moment.to,
            epoch: moment.epoch,
            detail: moment.detail.clone(),
        }
    }
}

fn route(point: OperatingPoint) -> &'static str {
    match point.route {
        Route::Split { .. } => "split",
        Route::DeviceOnly => "device-only",
        Route::ServerOnly => "server-only",
    }
}

/// The device of a path, whether or not it speaks.
pub(super) fn device_id(name: &str) -> Result<DeviceId, Problem> {
    name.parse().map_err(|error: autotiler_core::id::BadDeviceId| Problem::not_found(error.to_string()))
}

fn silent(api: &Api, device: &DeviceId) -> Problem {
    let speaking = api.fleet.len(Instant::now());
    Problem::not_found(format!("no device {device} speaks now; {speaking} others do: see api/v1/devices"))
}

/// All devices that speak, and the controller's policies.
#[utoipa::path(get, path = "/api/v1/devices", tag = "devices", responses((status = 200, body = DeviceList)))]
pub(super) async fn list(State(api): State<Api>) -> Json<DeviceList> {
    Json(DeviceList::at(&api, Instant::now()))
}

/// One device with its last five minutes.
#[utoipa::path(get, path = "/api/v1/devices/{name}", tag = "devices", params(("name" = String, Path, description = "The device")),
    responses((status = 200, body = DeviceDetail),
              (status = 404, body = Problem, content_type = "application/problem+json", description = "It is silent")))]
pub(super) async fn one(
    State(api): State<Api>,
    Path(name): Path<String>,
) -> Result<Json<DeviceDetail>, Problem> {
    let device = device_id(&name)?;
    let second = |sample: &Sample| Second {
        at_ms: sample.at_ms,
        uplink_bps: sample.uplink_bps,
        total_p95_us: sample.total_p95_us,
        point: sample.point,
        guarded: sample.guarded,
    };
    let detail = api.fleet.one(&device, Instant::now(), |heard| DeviceDetail {
        device: Device::of(heard, &api.desk),
        trail: heard.trail.samples().map(second).collect(),
        moments: heard.trail.moments().map(|moment| MomentView::of(&device, moment)).collect(),
    });
    detail.map(Json).ok_or_else(|| silent(&api, &device))
}

/// The controller's policies; an empty list while it is away.
#[utoipa::path(get, path = "/api/v1/policies", tag = "devices", responses((status = 200, body = Vec<PolicyState>)))]
pub(super) async fn policies(State(api): State<Api>) -> Json<Vec<PolicyState>> {
    Json(api.desk.policies())
}
