// Everything that is known, kept by one stream of server-sent events. Views are told once per frame of the screen.

const SILENT_MS = 4000;
const AGAIN_MS = 2000;
const SPARK = 60;
const MOMENTS = 200;

export const state = {
  status: "waiting",
  controller: "absent",
  broker: "up",
  writable: false,
  devices: new Map(),
  policies: [],
  moments: [],
  nowMs: Date.now(),
};

const views = new Set();
const fresh = new Set();
let asked = false;
let source = null;
let heardAt = 0;

/** Calls `view` when something has changed; the result ends that. */
export function watch(view) {
  views.add(view);
  view();
  return () => views.delete(view);
}

/** Calls `hear` with each moment and decision as it comes; the result ends that. */
export function listen(hear) {
  fresh.add(hear);
  return () => fresh.delete(hear);
}

function changed() {
  if (asked) return;
  asked = true;
  requestAnimationFrame(() => {
    asked = false;
    for (const view of views) view();
  });
}

function heard(event) {
  heardAt = performance.now();
  if (state.status !== "live") state.status = "live";
  changed();
  return JSON.parse(event.data);
}

function take(device) {
  const spark = state.devices.get(device.name)?.spark ?? [];
  device.spark = spark;
  spark.push(device.uplinkBps === null ? null : device.uplinkBps / 1000);
  if (spark.length > SPARK) spark.shift();
  state.devices.set(device.name, device);
}

function keep(moment) {
  const key = `${moment.device} ${moment.atMs} ${moment.kind} ${moment.epoch}`;
  if (state.moments.some((known) => known.key === key)) return false;
  moment.key = key;
  state.moments.unshift(moment);
  state.moments.length = Math.min(state.moments.length, MOMENTS);
  return true;
}

function remember(moment) {
  if (keep(moment)) for (const hear of fresh) hear(moment);
}

/** Opens the stream, and again whenever it breaks. */
export function start() {
  source = new EventSource("api/v1/events");
  source.addEventListener("snapshot", (event) => {
    const list = heard(event);
    Object.assign(state, { controller: list.controller, broker: list.broker, writable: list.writable, policies: list.policies, nowMs: list.nowMs });
    list.moments.forEach(keep);
    state.devices = new Map(list.devices.map((device) => [device.name, { ...device, spark: device.uplinkTrailKbps ?? [] }]));
  });
  source.addEventListener("devices", (event) => {
    const { nowMs, controller, broker, policies, changed: spoke, gone } = heard(event);
    Object.assign(state, { nowMs, controller, broker, policies: policies ?? state.policies });
    spoke.forEach(take);
    gone.forEach((name) => state.devices.delete(name));
  });
  source.addEventListener("moment", (event) => remember(heard(event)));
  source.addEventListener("decision", (event) => {
    const decision = heard(event);
    remember({ ...decision, kind: "decision" });
  });
  source.addEventListener("error", () => {
    lost();
    // The browser tries again by itself, unless it was refused.
    if (source.readyState === EventSource.CLOSED) setTimeout(start, AGAIN_MS);
  });
}

function lost() {
  if (state.status === "lost") return;
  state.status = "lost";
  changed();
}

// A link that is dead without a word is noticed by its silence: devices are told of twice a second, even if none spoke.
setInterval(() => {
  if (state.status === "live" && performance.now() - heardAt > SILENT_MS) {
    lost();
    source.close();
    start();
  }
}, 1000);

/** An answer of the API; a problem is thrown with its own words. */
export async function ask(path, options) {
  const answer = await fetch(`api/v1/${path}`, options);
  if (answer.status === 204) return null;
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) throw Object.assign(new Error(body.detail ?? answer.statusText), { status: answer.status });
  return body;
}
