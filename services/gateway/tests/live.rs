//! Looking on at a device through a real nats-server and ffmpeg.

#![allow(clippy::unwrap_used, reason = "helpers of tests, outside the functions that clippy knows as tests")]

mod common;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use autotiler_core::{
    BBox, CompressionRatio, Detection, DeviceId, Digest, Epoch, Gain, LayerIndex, Sequence, StreamId,
    wire::{Answer, FrameHeader, LossReason, Payload, ServerTimes},
};
use autotiler_gateway::live::{Lives, NoLook, Shot, ShotKind};
use autotiler_hevc::{DecoderOptions, Encoder, EncoderOptions, FrameFormat, ParameterSets, PixelFormat};
use autotiler_scene::Picture;
use autotiler_transport::{
    AnswerSubject, ConnectOptions, Connection, FrameSubject, connect, serve_parameters, testing::NatsServer,
};
use common::LONG;

const NETWORK: Digest = Digest([7; 32]);

/// A device that sends one frame again and again, and a decoder that answers `outcome`.
struct Device {
    id: DeviceId,
    connection: Connection,
    payload: Payload,
    unit: Vec<u8>,
    sets: ParameterSets,
    outcome: Result<Vec<Detection>, LossReason>,
}

impl Device {
    async fn new(server: &NatsServer, payload: Payload, format: FrameFormat, samples: &[u8]) -> Self {
        let mut encoder = Encoder::spawn(format, EncoderOptions::default()).unwrap();
        let unit = encoder.encode(samples, Gain::UNITY).unwrap().bytes().to_vec();
        let sets = encoder.parameter_sets().clone();
        let options = ConnectOptions::new(vec![server.url()], "device");
        let connection = connect(&options).await.unwrap();
        let id: DeviceId = "cam-0".parse().unwrap();
        let (serving, device, served) = (connection.clone(), id.clone(), sets.clone());
        tokio::spawn(async move {
            let digest = served.digest().0;
            let find = |asked| (asked == digest).then(|| served.annex_b().clone());
            serve_parameters(&serving, &device, find).await
        });
        Self { id, connection, payload, unit, sets, outcome: Ok(vec![]) }
    }

    /// Sends and answers frames until the future that it races is done.
    async fn send(&self) {
        let mut pace = tokio::time::interval(Duration::from_millis(20));
        for number in 0.. {
            pace.tick().await;
            let header = FrameHeader {
                device: self.id.hash64(),
                stream: StreamId(1),
                sequence: Sequence(number),
                epoch: Epoch(3),
                network: NETWORK.prefix(),
                payload: self.payload,
                gain: Gain::UNITY,
                captured_us: 0,
                parameter_sets: self.sets.digest().0,
            };
            let answer = Answer {
                device: header.device,
                stream: header.stream,
                sequence: header.sequence,
                epoch: header.epoch,
                captured_us: 0,
                times: ServerTimes { queue_us: 1, decode_us: 2, tail_us: 3, boxes_us: 4 },
                batch: 1,
                outcome: self.outcome.clone(),
            };
            let subject = FrameSubject::new(&NETWORK, self.id.clone()).to_string();
            self.connection.publish_now(subject, header.encode(&self.unit).into()).await.unwrap();
            let subject =
                AnswerSubject { device: self.id.clone(), stream: StreamId(1), sequence: header.sequence };
            self.connection.publish_now(subject.to_string(), answer.encode().into()).await.unwrap();
            self.connection.flush().await;
        }
    }

    /// Shots that are whole; on a busy machine one may be shown before its picture or its answer is there.
    async fn shots(&self, lives: &Lives, count: usize) -> Vec<Arc<Shot>> {
        let mut looking = lives.look(&self.id).unwrap();
        let seen = async {
            let mut shots = Vec::new();
            while shots.len() < count {
                let shot = looking.next().await.unwrap();
                shots.extend(Some(shot).filter(|shot| shot.image.is_some() && shot.answer.is_some()));
            }
            shots
        };
        tokio::select! {
            shots = tokio::time::timeout(LONG, seen) => shots.unwrap(),
            () = self.send() => unreachable!(),
        }
    }
}

async fn lives(server: &NatsServer) -> Lives {
    let names = [(NETWORK, vec!["bus".to_owned(), "car".to_owned()])];
    let lives = Lives::new(&names, DecoderOptions::default()).unwrap();
    assert_eq!(lives.look(&"cam-0".parse().unwrap()).unwrap_err(), NoLook::NoBroker);
    let options = ConnectOptions::new(vec![server.url()], "gateway");
    lives.connect(connect(&options).await.unwrap());
    lives
}

fn plane() -> Payload {
    Payload::Plane { layer: LayerIndex(36), cr: CompressionRatio::try_new(4).unwrap(), tiler: 9 }
}

#[tokio::test]
async fn a_plane_and_its_boxes_are_shown_together_and_not_too_often() {
    let server = NatsServer::start().unwrap();
    let lives = lives(&server).await;
    let format = FrameFormat::try_new(40, 24, PixelFormat::Gray).unwrap();
    let samples: Vec<u8> = (0..40 * 24).map(|at| if at % 40 < 20 { 60 } else { 190 }).collect();
    let mut device = Device::new(&server, plane(), format, &samples).await;
    let bbox = BBox { x0: 0.25, y0: 0.5, x1: 0.75, y1: 1.0 };
    device.outcome = Ok(vec![Detection { class: 1, score: 0.5, bbox }]);
    let begin = Instant::now();
    let shots = device.shots(&lives, 4).await;
    // The first at once, three more at five a second.
    assert!(begin.elapsed() >= Duration::from_millis(550), "{:?}", begin.elapsed());
    let shot = &shots[3];
    assert_eq!(shot.kind, ShotKind::Plane { layer: 36, cr: 4 });
    let found = &shot.answer.as_ref().unwrap().detections[0];
    assert_eq!((found.name.as_deref(), found.class), (Some("car"), 1));
    assert!((found.corners[0] - 0.25).abs() < 1e-4);
    let image = shot.image.as_ref().unwrap();
    assert_eq!((image.media_type, image.width, image.height), ("image/png", 40, 24));
    let shown = Picture::decode(&image.bytes).unwrap();
    assert!(shown.rgb[0].abs_diff(60) < 12 && shown.rgb[39 * 3].abs_diff(190) < 12, "{:?}", &shown.rgb[..6]);
    let json = serde_json::to_value(&**shot).unwrap();
    assert_eq!(
        (&json["kind"], &json["layer"], &json["image"]["mediaType"]),
        (&"plane".into(), &36.into(), &"image/png".into())
    );
}

#[tokio::test]
async fn a_picture_is_shown_in_colour_and_a_loss_by_its_reason() {
    let server = NatsServer::start().unwrap();
    let lives = lives(&server).await;
    let picture = Picture::filled(64, 64, [200, 40, 40]);
    let format = FrameFormat::try_new(64, 64, PixelFormat::Yuv420).unwrap();
    let mut device = Device::new(&server, Payload::Picture, format, &picture.to_yuv420().unwrap()).await;
    device.outcome = Err(LossReason::Overloaded);
    let shot = device.shots(&lives, 1).await.remove(0);
    let image = shot.image.as_ref().unwrap();
    assert_eq!((shot.kind, image.media_type), (ShotKind::Picture, "image/jpeg"));
    let [r, g, ..] = *Picture::decode(&image.bytes).unwrap().rgb else { unreachable!() };
    assert!(r > 150 && g < 90, "{r} {g}");
    assert_eq!(shot.answer.as_ref().unwrap().lost, Some("overloaded"));
}

#[tokio::test]
async fn frames_are_asked_for_only_while_somebody_looks() {
    let server = NatsServer::start().unwrap();
    let lives = lives(&server).await;
    let device: DeviceId = "cam-0".parse().unwrap();
    let (one, other) = (lives.look(&device).unwrap(), lives.look(&device).unwrap());
    assert_eq!(lives.len(), 1);
    drop(one);
    assert_eq!(lives.len(), 1);
    drop(other);
    assert!(lives.is_empty());
    let many: Vec<_> = (0..16).map(|n| lives.look(&format!("cam-{n}").parse().unwrap()).unwrap()).collect();
    assert_eq!(lives.look(&"cam-16".parse().unwrap()).unwrap_err(), NoLook::TooMany);
    drop(many);
    assert!(lives.look(&"cam-16".parse().unwrap()).is_ok());
}
