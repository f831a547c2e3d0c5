// What a device sends, and what is found in it: the boxes, the picture where there is one, the tiled plane beside it.

import { attribute, h, keyed, s, text } from "./dom.js";
import { millis, UNKNOWN } from "./words.js";

// One for each class in turn; light enough for dark words on them.
const COLOURS = ["#ff8a80", "#7ee2a8", "#9db8ff", "#ffd75e", "#f3a6e8", "#7fe0e4", "#ffb36b", "#c9a9ff", "#bfe36a", "#ffb3c1"];
const WIDE = 400;
const HIGH = 300;
const AGAIN_MS = 3000;

function boxes() {
  const node = s("svg", { viewBox: `0 0 ${WIDE} ${HIGH}`, preserveAspectRatio: "none", role: "img", "aria-label": "No boxes yet" });
  const make = () => {
    const rect = s("rect");
    const ground = s("path");
    const name = s("text");
    return { node: s("g", { class: "box" }, rect, ground, name), rect, ground, name, wide: 0 };
  };
  const update = (row, { found, label, colour }) => {
    const [x0, y0, x1, y1] = found.box.map((share, at) => Math.min(1, Math.max(0, share)) * (at % 2 ? HIGH : WIDE));
    const high = 17;
    const above = y0 >= high ? y0 - high : y0;
    if (row.name.textContent !== label) {
      text(row.name, label);
      row.wide = row.name.getComputedTextLength() + 8;
    }
    const { wide } = row;
    const left = Math.min(x0, WIDE - wide);
    for (const [name, value] of Object.entries({ x: x0, y: y0, width: x1 - x0, height: y1 - y0, stroke: colour })) attribute(row.rect, name, value);
    attribute(row.ground, "d", `M${left} ${above}h${wide}v${high}h${-wide}z`);
    attribute(row.ground, "fill", colour);
    attribute(row.name, "x", left + 4);
    attribute(row.name, "y", above + 13);
  };
  const show = (detections) => {
    const items = detections.map((found, at) => ({ at, found, colour: COLOURS[found.class % COLOURS.length],
      label: `${found.name ?? `class ${found.class}`} ${Math.round(found.score * 100)}` }));
    // The surest last, so that its label is on top.
    keyed(node, items.reverse(), (item) => item.at, make, update);
    attribute(node, "aria-label", summary(detections));
  };
  return { node, show };
}

function summary(detections) {
  if (!detections.length) return "Nothing was found in this frame";
  const counts = new Map();
  for (const found of detections) {
    const name = found.name ?? `class ${found.class}`;
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  return `Found: ${[...counts].map(([name, count]) => `${count} × ${name}`).join(", ")}`;
}

const source = (image) => `data:${image.mediaType};base64,${image.bytes}`;

/** The stage of the device `name`. */
export function stage(name) {
  const overlay = boxes();
  const picture = h("img", { alt: "", hidden: "" });
  const hint = h("p", { class: "hint" }, "Waiting for a frame …");
  const plane = h("img", { alt: "The newest tiled plane", hidden: "" });
  const planeHint = h("p", { class: "hint" }, "Waiting for a frame …");
  const found = h("p", { class: "small" }, UNKNOWN);
  const sent = h("p", { class: "small" }, UNKNOWN);
  const planeView = h("figure", { class: "view" }, h("div", { class: "frame plane" }, plane, planeHint), h("figcaption", null, h("strong", null, "What is sent"), sent));
  const node = h("section", { class: "card live", "aria-labelledby": "stage" }, h("h2", { id: "stage" }, "Stream"),
    h("div", { class: "views" },
      h("figure", { class: "view" }, h("div", { class: "frame" }, picture, overlay.node, hint), h("figcaption", null, h("strong", null, "What is found"), found)),
      planeView));

  let events = null;
  let again = 0;
  let route = null;

  function show(shot) {
    // The frames before the switch come after it: they wait for their answers, what the device says does not.
    if (route === "device-only") return;
    const answer = shot.answer;
    const isPicture = shot.kind === "picture";
    const missed = !answer ? "No decoder answered in time" : answer.lost ? `Lost: ${answer.lost.replaceAll("_", " ")}` : null;
    hint.hidden = !missed;
    text(hint, missed ?? "");
    overlay.show(answer?.detections ?? []);
    text(found, missed ?? `${summary(answer.detections)} · decoded and finished in ${millis(answer.decodeUs + answer.tailUs + answer.boxesUs)}`);
    picture.hidden = !(isPicture && shot.image);
    plane.hidden = !shot.image;
    planeHint.hidden = !plane.hidden;
    text(planeHint, "It could not be decoded here.");
    if (shot.image) plane.src = source(shot.image);
    if (isPicture) {
      if (shot.image) picture.src = plane.src;
      attribute(plane, "alt", "The newest picture, as it is sent");
      text(sent, `The picture, ${size(shot)}`);
    } else {
      attribute(plane, "alt", `The newest tiled plane: feature maps of layer ${shot.layer} side by side`);
      text(sent, `Feature maps of layer ${shot.layer} side by side, ratio ${shot.cr}, ${size(shot)}. The picture stays on the device.`);
    }
  }

  const size = (shot) => `${shot.image ? `${shot.image.width} × ${shot.image.height}, ` : ""}${(shot.bits / 1000).toFixed(1)} kbit, frame ${shot.sequence}`;

  function open() {
    events = new EventSource(`api/v1/devices/${encodeURIComponent(name)}/frames`);
    events.addEventListener("frame", (event) => show(JSON.parse(event.data)));
    events.addEventListener("error", () => {
      if (events.readyState === EventSource.CLOSED) again = setTimeout(open, AGAIN_MS);
    });
  }

  /** Follows where the work is done. */
  function follow(device) {
    if (device.route === route) return;
    route = device.route;
    if (route !== "device-only") return;
    overlay.show([]);
    for (const image of [picture, plane]) image.hidden = true;
    for (const words of [hint, planeHint]) words.hidden = false;
    text(hint, "The device finds everything by itself now. Its boxes stay there; only its telemetry is sent.");
    text(planeHint, "No frame is sent.");
    text(found, "Nothing is sent, so there is nothing to show");
    text(sent, UNKNOWN);
  }

  // A page that nobody sees asks for no frames.
  const seen = () => {
    clearTimeout(again);
    events?.close();
    events = null;
    if (!document.hidden) open();
  };
  document.addEventListener("visibilitychange", seen);
  seen();
  return { node, follow, leave: () => {
    document.removeEventListener("visibilitychange", seen);
    clearTimeout(again);
    events?.close();
  } };
}
