// All devices: a table, on a narrow screen a card for each.

import { attribute, h, keyed, text } from "./dom.js";
import * as sparks from "./spark.js";
import { state, watch } from "./store.js";
import { UNKNOWN, clock, happened, millis, percent, point, rate, standing, tone } from "./words.js";

const LOG = 12;
const RECENT_MS = 5 * 60 * 1000;

const by = (value) => (a, b) => value(a) - value(b) || a.name.localeCompare(b.name, "en", { numeric: true });
const known = (value) => value ?? Number.POSITIVE_INFINITY;

const COLUMNS = [
  { id: "name", title: "Device", order: (a, b) => a.name.localeCompare(b.name, "en", { numeric: true }) },
  { id: "point", title: "Operating point", order: (a, b) => a.point.localeCompare(b.point, "en", { numeric: true }) || a.name.localeCompare(b.name) },
  { id: "link", title: "Link, last minute", number: true, order: by((device) => known(device.uplinkBps)) },
  { id: "latency", title: "Latency p50 / p95", number: true, order: by((device) => known(device.totalP95Us)) },
  { id: "rate", title: "Frames/s", number: true, order: by((device) => device.framesPerSecond) },
  { id: "accuracy", title: "Accuracy drop", number: true, order: by((device) => known(device.accuracyDropPermille)) },
  { id: "state", title: "State", order: by((device) => ["alarm", "server-only", "", "device-only"].indexOf(standing(device)[0])) },
];

// Kept while one looks at a device and comes back.
const chosen = { words: "", route: "", sort: "name", down: false };

function figures() {
  const figure = (name) => {
    const value = h("dd", null, UNKNOWN);
    return { node: h("div", null, h("dt", null, name), value), value };
  };
  const all = { speaking: figure("Devices speaking"), guarding: figure("Guarding"), late: figure("Slowest p95"), switches: figure("Switches, last 5 min") };
  const update = () => {
    const devices = [...state.devices.values()];
    const late = Math.max(...devices.map((device) => device.totalP95Us ?? 0));
    const since = state.nowMs - RECENT_MS;
    text(all.speaking.value, String(devices.length));
    text(all.guarding.value, String(devices.filter((device) => device.guardedForMs !== null).length));
    text(all.late.value, late > 0 ? millis(late) : UNKNOWN);
    text(all.switches.value, String(state.moments.filter((moment) => moment.kind === "switched" && moment.atMs > since).length));
  };
  return { node: h("dl", { class: "figures live" }, ...Object.values(all).map(({ node }) => node)), update };
}

/** How many devices have their work done where, as one bar. */
function places() {
  const parts = [["server-only", "on the server"], ["split", "split"], ["device-only", "on the device"]].map(([route, title]) => ({
    route, bar: h("i", { "data-tone": route }), count: h("b"), title,
  }));
  const node = h("section", { class: "card places live", "aria-labelledby": "places" }, h("h2", { id: "places" }, "Where the work is done"),
    h("div", { class: "stack", "aria-hidden": "true" }, ...parts.map(({ bar }) => bar)),
    h("p", { class: "legend" }, ...parts.map(({ route, count, title }) => h("span", null, h("i", { class: "dot", "data-tone": route }), count, ` ${title}`))));
  const update = () => {
    const routes = [...state.devices.values()].map((device) => device.route);
    for (const { route, bar, count } of parts) {
      const devices = routes.filter((one) => one === route).length;
      text(count, String(devices));
      bar.style.flexGrow = devices;
      bar.hidden = devices === 0;
    }
  };
  return { node, update };
}

function row(device) {
  const cell = (id, title, number, ...children) =>
    h("td", { role: "cell", "data-label": title, class: `${id}${number ? " number" : ""}` }, ...children);
  const made = {
    link: h("a", { href: `#/devices/${encodeURIComponent(device.name)}` }, device.name),
    kind: h("small"),
    point: h("span", { class: "chip" }),
    rate: h("span"),
    spark: sparks.spark(),
    latency: h("span"),
    frames: h("span"),
    accuracy: h("span"),
    meter: h("span", { class: "meter", "aria-hidden": "true" }, h("i")),
    state: h("span", { class: "chip" }),
  };
  made.node = h("tr", { role: "row" },
    h("th", { role: "rowheader", scope: "row" }, made.link, made.kind),
    cell("point", "Operating point", false, made.point),
    cell("linkcell", "Link, last minute", true, h("span", { class: "link" }, made.spark.node, made.rate)),
    cell("latency", "Latency p50 / p95", true, made.latency),
    cell("frames", "Frames/s", true, made.frames),
    cell("accuracy", "Accuracy drop", true, made.accuracy, made.meter),
    cell("state", "State", false, made.state));
  return made;
}

function update(row, device) {
  if (row.shown === device && row.policies === state.policies) return;
  row.shown = device;
  row.policies = state.policies;
  const [tone, word] = standing(device);
  text(row.kind, device.policy ? `${device.deviceClass} · ${device.policy}` : device.deviceClass);
  text(row.point, point(device.point));
  attribute(row.point, "data-tone", device.route);
  text(row.rate, rate(device.uplinkBps));
  sparks.draw(row.spark, device.spark);
  text(row.latency, `${millis(device.totalP50Us)} / ${millis(device.totalP95Us)}`);
  text(row.frames, device.framesPerSecond.toFixed(1));
  const { accuracyDropPermille: drop, accuracyBudgetPermille: budget } = device;
  text(row.accuracy, drop === null ? UNKNOWN : budget === null ? percent(drop) : `${percent(drop)} of ${percent(budget)}`);
  row.meter.hidden = drop === null || !budget;
  const share = budget ? Math.min(1, drop / budget) : 0;
  row.meter.firstChild.style.width = `${Math.round(share * 100)}%`;
  attribute(row.meter, "data-full", share >= 1);
  text(row.state, word);
  attribute(row.state, "data-tone", tone);
}

function table() {
  const body = h("tbody", { role: "rowgroup" });
  const heads = COLUMNS.map((column) => {
    const sort = () => {
      chosen.down = chosen.sort === column.id && !chosen.down;
      chosen.sort = column.id;
      arrange();
    };
    const head = h("th", { role: "columnheader", scope: "col", class: column.number ? "number" : null },
      h("button", { type: "button", onclick: sort }, column.title));
    return { head, column };
  });
  const node = h("div", { class: "card fleet live" },
    h("table", { role: "table" },
      h("caption", { class: "unseen" }, "Devices that speak now; the column heads sort"),
      h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, ...heads.map(({ head }) => head))), body));
  function arrange() {
    for (const { head, column } of heads) {
      attribute(head, "aria-sort", chosen.sort === column.id ? (chosen.down ? "descending" : "ascending") : "none");
    }
    const order = COLUMNS.find((column) => column.id === chosen.sort).order;
    const words = chosen.words.trim().toLowerCase();
    const shown = [...state.devices.values()].filter((device) =>
      (!chosen.route || (chosen.route === "guarding" ? device.guardedForMs !== null : device.route === chosen.route)) &&
      (!words || `${device.name} ${device.deviceClass} ${device.policy ?? ""} ${device.point}`.toLowerCase().includes(words)));
    shown.sort(chosen.down ? (a, b) => order(b, a) : order);
    keyed(body, shown, (device) => device.name, row, update);
    return shown.length;
  }
  return { node, arrange };
}

function tools(arrange) {
  const words = h("input", { type: "search", placeholder: "Name, class, policy or point", value: chosen.words, autocomplete: "off" });
  words.addEventListener("input", () => { chosen.words = words.value; arrange(); });
  const option = (value, title) => h("option", { value, selected: chosen.route === value ? "" : null }, title);
  const route = h("select", null, option("", "All devices"), option("split", "Split"), option("device-only", "Device only"),
    option("server-only", "Server only"), option("guarding", "Guarding"));
  route.addEventListener("change", () => { chosen.route = route.value; arrange(); });
  const sort = h("select", null, ...COLUMNS.map(({ id, title }) => h("option", { value: id, selected: chosen.sort === id ? "" : null }, title)));
  sort.addEventListener("change", () => { chosen.sort = sort.value; chosen.down = false; arrange(); });
  return h("div", { class: "tools", role: "search", "aria-label": "Devices" },
    h("label", { class: "wide" }, "Find", words), h("label", null, "Show", route), h("label", null, "Sort by", sort));
}

function log() {
  const list = h("ol", { class: "log" });
  const none = h("p", { class: "small" }, "Nothing lately. Switches, guard moves and decisions come here.");
  const node = h("section", { class: "card", "aria-labelledby": "lately" }, h("h2", { id: "lately" }, "Lately"), none, list);
  const make = (moment) => ({ node: h("li", { "data-tone": tone(moment) }, h("time", null, clock(moment.atMs)),
    h("span", null, h("a", { href: `#/devices/${encodeURIComponent(moment.device)}` }, moment.device), ` ${happened(moment)}`)) });
  const update = () => {
    none.hidden = state.moments.length > 0;
    keyed(list, state.moments.slice(0, LOG), (moment) => moment.key, make, () => {});
  };
  return { node, update };
}

function empty() {
  return h("section", { class: "empty" },
    h("h2", null, "No device speaks yet"),
    h("p", null, "A device shows up here within a second of its first word on NATS. Start one on any machine that reaches the same nats-server:"),
    h("pre", { tabindex: "0", "aria-label": "Command" }, h("code", null, "autotiler-edge --model models/street --device cam-0 \\\n  --point layer=36,cr=4,bits=8k --source world --live")),
    h("ol", null,
      h("li", null, "Its detections need a decoder: ", h("code", null, "autotiler-decoder --model models/street")),
      h("li", null, "Still nothing? This gateway listens where ", h("code", null, "--nats"), " says; both must name the same broker, and the device may be refused: its log says so.")));
}

/** The view of all devices. */
export function fleetView() {
  const top = figures();
  const where = places();
  const devices = table();
  const lately = log();
  const bar = tools(devices.arrange);
  const none = h("p", { class: "empty" }, "No device fits what is asked for above.");
  const nobody = empty();
  const waiting = h("p", { class: "small" }, "Asking the gateway …");
  const end = watch(() => {
    const some = state.devices.size > 0;
    top.update();
    where.update();
    const shown = devices.arrange();
    lately.update();
    waiting.hidden = state.status !== "waiting";
    nobody.hidden = some || state.status === "waiting" || state.broker === "away";
    none.hidden = !some || shown > 0;
    for (const node of [top.node, where.node, bar, lately.node]) node.hidden = !some;
    devices.node.hidden = shown === 0;
  });
  return { nodes: [h("h1", null, "Devices"), waiting, h("div", { class: "heads" }, top.node, where.node), bar, devices.node, none, nobody, lately.node], leave: end };
}
