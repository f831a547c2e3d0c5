//! Every field that can be wrong, and hostile bytes.

use std::sync::LazyLock;

use autotiler_core::{Epoch, Gain, Sequence, StreamId};

use super::*;

const NETWORK: u64 = 0x11;
const TILER: u64 = 0x22;

static CATALOGUE: LazyLock<Catalogue> = LazyLock::new(|| Catalogue {
    network: NETWORK,
    tilers: vec![Entry { digest: TILER, layer: LayerIndex(16), cr: CompressionRatio::ONE }],
});

fn device() -> autotiler_core::DeviceId {
    "cam".parse().unwrap()
}

fn header() -> FrameHeader {
    FrameHeader {
        device: device().hash64(),
        stream: StreamId(4),
        sequence: Sequence(7),
        epoch: Epoch(2),
        network: NETWORK,
        payload: Payload::Plane { layer: LayerIndex(16), cr: CompressionRatio::ONE, tiler: TILER },
        gain: Gain::UNITY,
        captured_us: 99,
        parameter_sets: 5,
    }
}

fn inbound(payload: Vec<u8>, reply: Option<&str>) -> InboundFrame {
    InboundFrame { device: device(), payload: payload.into(), reply: reply.map(str::to_owned) }
}

fn refusal(header: FrameHeader) -> Refusal {
    let frame = inbound(header.encode(b"unit"), Some("autotiler.v1.detections.cam.4.7"));
    let refused = CATALOGUE.check(&frame).unwrap_err();
    assert!(refused.identity.is_some());
    refused.refusal
}

#[test]
fn a_right_frame_is_found_in_the_model() {
    let frame = inbound(header().encode(b"unit"), Some("autotiler.v1.detections.cam.4.7"));
    let checked = CATALOGUE.check(&frame).unwrap();
    assert_eq!(checked, Checked { header: header(), point: Point::Plane(0), access_unit_len: 4 });
    let picture = FrameHeader { payload: Payload::Picture, ..header() };
    let point = CATALOGUE.check(&inbound(picture.encode(b""), None)).unwrap().point;
    assert_eq!(point, Point::Picture);
}

#[test]
fn each_wrong_field_has_its_reason() {
    let plane = |layer, cr, tiler| FrameHeader {
        payload: Payload::Plane {
            layer: LayerIndex(layer),
            cr: CompressionRatio::try_new(cr).unwrap(),
            tiler,
        },
        ..header()
    };
    assert_eq!(refusal(FrameHeader { network: 1, ..header() }).reason(), LossReason::UnknownNetwork);
    assert_eq!(refusal(plane(16, 1, 1)).reason(), LossReason::UnknownTiler);
    assert_eq!(refusal(plane(17, 1, TILER)).reason(), LossReason::UnknownTiler);
    assert_eq!(refusal(plane(16, 2, TILER)).reason(), LossReason::UnknownTiler);
    assert_eq!(refusal(FrameHeader { device: 1, ..header() }), Refusal::Device(1));
    assert_eq!(refusal(FrameHeader { sequence: Sequence(8), ..header() }), Refusal::Reply);
    assert_eq!(refusal(FrameHeader { stream: StreamId(5), ..header() }).reason(), LossReason::BadFrame);
}

#[test]
fn a_broken_header_is_answered_for_by_its_reply_subject() {
    let mut bytes = header().encode(b"unit");
    bytes[2] = 9;
    let reply = "autotiler.v1.detections.cam.4.7";
    let refused = CATALOGUE.check(&inbound(bytes.clone(), Some(reply))).unwrap_err();
    assert_eq!(refused.refusal, Refusal::Frame(FrameError::Version(9)));
    assert_eq!(refused.identity, Some(Identity::of_reply(&reply.parse().unwrap())));
    for reply in [None, Some("_INBOX.x")] {
        assert_eq!(CATALOGUE.check(&inbound(bytes.clone(), reply)).unwrap_err().identity, None);
    }
}

#[test]
fn any_bytes_are_refused() {
    bolero::check!().with_type::<(Vec<u8>, bool)>().with_iterations(5000).for_each(|(bytes, framed)| {
        let mut message = if *framed { header().encode(b"unit") } else { Vec::new() };
        // Written over a right message, so that the later checks are reached too.
        let from = message.len().saturating_sub(bytes.len());
        message.truncate(from);
        message.extend(bytes);
        let refused = CATALOGUE.check(&inbound(message.clone(), None));
        assert!(refused.is_err() || message == header().encode(b"unit"));
    });
}
