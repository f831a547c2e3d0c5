//! From what people write to what decisions are made of: `autotiler_core`'s policy, profile and points.

use std::time::Duration;

use autotiler_core::{
    CompressionRatio, LayerIndex, OperatingPoint, Route, TargetBits,
    decision::{self, BadPolicy},
    profile::{BadProfile, BatchTime, Profile, ProfilePoint, Rate, Spread},
    quantity::BadQuantity,
};

use crate::{
    device::Pin,
    duration::HumanDuration,
    placement::{PlacementRoute, SafePoint},
    policy::{AutoTilerPolicySpec, BitsAdapt, Fallback, FallbackAction, Minimize, Permission, StaticPoint},
    profile::{MeasuredPoint, MeasuredRoute, PartitionProfileSpec},
};

/// A spec that no decision can be made by.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadSpec {
    /// A field that is needed here is not there.
    #[error("{0} is missing: set it")]
    Missing(String),
    /// A number that is none of its kind.
    #[error("{field}: {source}")]
    Quantity {
        /// The field.
        field: String,
        /// What is wrong with it.
        #[source]
        source: BadQuantity,
    },
    /// A time of nothing where one is needed.
    #[error("{0} must be longer than 0s")]
    Zero(&'static str),
    /// The policy contradicts itself.
    #[error("spec.{0}")]
    Policy(#[from] BadPolicy),
    /// The profile contradicts itself.
    #[error("spec.{0}")]
    Profile(#[from] BadProfile),
}

/// Where a pin holds a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pinned {
    /// The route.
    pub route: Route,
    /// The bits, where the pin says so.
    pub bits: Option<TargetBits>,
}

impl TryFrom<&AutoTilerPolicySpec> for decision::Policy {
    type Error = BadSpec;

    /// # Errors
    /// [`BadSpec`], which names the field and the fix.
    fn try_from(spec: &AutoTilerPolicySpec) -> Result<Self, BadSpec> {
        positive("spec.metrics.prometheus.interval", spec.metrics.prometheus.interval)?;
        positive("spec.metrics.prometheus.timeout", spec.metrics.prometheus.timeout)?;
        let constraints = &spec.objective.constraints;
        let policy = Self {
            objective: match spec.objective.minimize {
                Minimize::Latency => decision::Objective::Latency,
                Minimize::Uplink => decision::Objective::Uplink,
            },
            constraints: decision::Constraints {
                max_latency: constraints.max_latency.map(HumanDuration::get),
                max_accuracy_drop_permille: constraints.max_accuracy_drop_permille,
                max_uplink_bps: constraints.max_uplink.map(|rate| rate.bps()),
            },
            candidates: candidate_rules(spec)?,
            metrics: decision::Metrics {
                max_age: spec.metrics.max_age.get(),
                warmup_samples: spec.metrics.warmup_samples.into(),
                capacity_half_life: positive(
                    "spec.metrics.capacityHalfLife",
                    spec.metrics.capacity_half_life,
                )?,
            },
            behavior: behavior(spec)?,
            fallback: fallback(&spec.fallback)?,
        };
        policy.check()?;
        Ok(policy)
    }
}

fn candidate_rules(spec: &AutoTilerPolicySpec) -> Result<decision::CandidateRules, BadSpec> {
    let ratios = spec.candidates.compression_ratios.iter().enumerate();
    Ok(decision::CandidateRules {
        layers: spec.candidates.partition_layers.iter().copied().map(LayerIndex).collect(),
        ratios: ratios
            .map(|(at, &cr)| ratio(cr, || format!("spec.candidates.compressionRatios[{at}]")))
            .collect::<Result<_, _>>()?,
        device_only: permission(spec.candidates.device_only),
        server_only: permission(spec.candidates.server_only),
    })
}

fn permission(permission: Permission) -> decision::Permission {
    match permission {
        Permission::Allowed => decision::Permission::Allowed,
        Permission::Forbidden => decision::Permission::Forbidden,
        Permission::FallbackOnly => decision::Permission::FallbackOnly,
    }
}

fn behavior(spec: &AutoTilerPolicySpec) -> Result<decision::Behavior, BadSpec> {
    let behavior = &spec.behavior;
    let (degrade, recover, guard) = (&behavior.degrade, &behavior.recover, &behavior.guard);
    let turn = |window: HumanDuration, min_improvement_percent| decision::Turn {
        window: window.get(),
        min_improvement_percent,
    };
    let safe_point = match guard.safe_point {
        SafePoint::Off => None,
        SafePoint::Auto => Some(decision::SafePoint::Auto),
        SafePoint::DeviceOnly => Some(decision::SafePoint::Point(OperatingPoint::device_only())),
        SafePoint::Point(point) => Some(decision::SafePoint::Point(point)),
    };
    Ok(decision::Behavior {
        degrade: turn(degrade.stabilization_window, degrade.min_improvement_percent),
        recover: turn(recover.stabilization_window, recover.min_improvement_percent),
        min_dwell: recover.min_dwell.get(),
        max_switches: decision::SwitchBudget {
            count: behavior.max_switches.count.into(),
            period: positive("spec.behavior.maxSwitches.period", behavior.max_switches.period)?,
        },
        max_concurrent_percent: behavior.max_concurrent_percent,
        bits: match behavior.bits.adapt {
            BitsAdapt::Fixed => decision::BitsMode::Fixed,
            BitsAdapt::OnDevice => {
                decision::BitsMode::OnDevice { max_cut_permille: behavior.bits.max_cut_permille }
            }
        },
        guard: safe_point.map(|safe_point| decision::GuardPolicy {
            queue_age: guard.queue_age.get(),
            hold: guard.hold.get(),
            safe_point,
        }),
    })
}

fn fallback(fallback: &Fallback) -> Result<decision::Fallback, BadSpec> {
    let action = |action| match (action, &fallback.static_) {
        (FallbackAction::Hold, _) => Ok(decision::FallbackAction::Hold),
        (FallbackAction::DeviceOnly, _) => Ok(decision::FallbackAction::DeviceOnly),
        (FallbackAction::Static, Some(point)) => static_point(point).map(decision::FallbackAction::Static),
        (FallbackAction::Static, None) => Err(missing("spec.fallback", "static")),
    };
    Ok(decision::Fallback {
        failure_threshold: fallback.failure_threshold.into(),
        action: action(fallback.action)?,
        hold_limit: fallback.hold_limit.get(),
        after_hold: action(fallback.after_hold)?,
    })
}

fn static_point(point: &StaticPoint) -> Result<OperatingPoint, BadSpec> {
    let field = "spec.fallback.static";
    let bits = || match point.target_bits {
        Some(bits) => target(bits, || format!("{field}.targetBits")),
        None => Err(missing(field, "targetBits")),
    };
    Ok(match route(field, point.route, point.partition_layer, point.compression_ratio)? {
        Route::DeviceOnly => OperatingPoint::device_only(),
        Route::ServerOnly => OperatingPoint::server_only(bits()?),
        Route::Split { layer, cr } => OperatingPoint::split(layer, cr, bits()?),
    })
}

impl TryFrom<&Pin> for Pinned {
    type Error = BadSpec;

    /// # Errors
    /// [`BadSpec`], which names the field and the fix.
    fn try_from(pin: &Pin) -> Result<Self, BadSpec> {
        let field = "spec.pin";
        let bits = pin.target_bits.map(|bits| target(bits, || format!("{field}.targetBits"))).transpose()?;
        Ok(Self { route: route(field, pin.route, pin.partition_layer, pin.compression_ratio)?, bits })
    }
}

impl TryFrom<&PartitionProfileSpec> for Profile {
    type Error = BadSpec;

    /// # Errors
    /// [`BadSpec`], which names the field or the point, and the fix.
    fn try_from(spec: &PartitionProfileSpec) -> Result<Self, BadSpec> {
        let points = spec.points.iter().enumerate();
        let points = points.map(|(at, point)| measured(&format!("spec.points[{at}]"), point));
        Ok(Self::try_new(spec.network, spec.device_class.clone(), points.collect::<Result<_, _>>()?)?)
    }
}

fn measured(field: &str, point: &MeasuredPoint) -> Result<ProfilePoint, BadSpec> {
    let shared = match point.route {
        MeasuredRoute::Split => PlacementRoute::Split,
        MeasuredRoute::DeviceOnly => PlacementRoute::DeviceOnly,
        MeasuredRoute::ServerOnly => PlacementRoute::ServerOnly,
    };
    let us = |us: u32| Duration::from_micros(us.into());
    let rates = point.rates.iter().enumerate().map(|(at, rate)| {
        Ok(Rate {
            bits: target(rate.bits, || format!("{field}.rates[{at}].bits"))?,
            accuracy_drop_permille: rate.accuracy_drop_permille,
        })
    });
    Ok(ProfilePoint {
        route: match (shared, point.layer, point.cr) {
            (PlacementRoute::Split, None, _) => return Err(missing(field, "layer")),
            (PlacementRoute::Split, _, None) => return Err(missing(field, "cr")),
            (shared, layer, cr) => route(field, shared, layer, cr)?,
        },
        tiler: point.tiler,
        device: Spread { p50: us(point.device.p50_us), p95: us(point.device.p95_us) },
        server: point
            .server
            .iter()
            .map(|run| BatchTime { batch: run.batch, time: us(run.decode_us) + us(run.tail_us) })
            .collect(),
        rates: rates.collect::<Result<_, BadSpec>>()?,
        memory_kib: point.memory_kib,
    })
}

fn route(field: &str, route: PlacementRoute, layer: Option<u16>, cr: Option<u16>) -> Result<Route, BadSpec> {
    Ok(match route {
        PlacementRoute::DeviceOnly => Route::DeviceOnly,
        PlacementRoute::ServerOnly => Route::ServerOnly,
        PlacementRoute::Split => Route::Split {
            layer: LayerIndex(layer.ok_or_else(|| missing(field, "partitionLayer"))?),
            cr: ratio(cr.ok_or_else(|| missing(field, "compressionRatio"))?, || {
                format!("{field}.compressionRatio")
            })?,
        },
    })
}

fn missing(field: &str, below: &str) -> BadSpec {
    BadSpec::Missing(format!("{field}.{below}"))
}

fn ratio(cr: u16, field: impl FnOnce() -> String) -> Result<CompressionRatio, BadSpec> {
    CompressionRatio::try_new(cr).map_err(|source| BadSpec::Quantity { field: field(), source })
}

fn target(bits: u32, field: impl FnOnce() -> String) -> Result<TargetBits, BadSpec> {
    TargetBits::try_new(bits).map_err(|source| BadSpec::Quantity { field: field(), source })
}

fn positive(field: &'static str, duration: HumanDuration) -> Result<Duration, BadSpec> {
    if duration.get().is_zero() { Err(BadSpec::Zero(field)) } else { Ok(duration.get()) }
}
