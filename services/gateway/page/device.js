// One device: what it sends, how it does, and why it is where it is.

import { attribute, h, keyed, text } from "./dom.js";
import * as hand from "./hand.js";
import { stage } from "./stage.js";
import { ask, listen, state, watch } from "./store.js";
import { timeline } from "./timeline.js";
import { UNKNOWN, clock, happened, kind, millis, percent, point, rate, reason, route, span, standing, tone } from "./words.js";

const STAGES = [
  ["head", "Head and tiler", ""], ["codec", "HEVC, device", ""], ["boxes", "Boxes, device", ""],
  ["serverQueue", "Waiting, server p95", "server"], ["serverDecode", "HEVC, server", "server"], ["serverTail", "Tail, server", "server"],
];
const PAST = 30;
const ASK_MS = 5000;

function header(name) {
  const chip = h("span", { class: "chip" });
  const where = h("span", { class: "chip" });
  const policy = h("button", { type: "button", onclick: () => hand.suspend(shown.policy) }, "Suspend");
  const buttons = h("span", { class: "chips push" },
    h("button", { type: "button", onclick: () => hand.pin(shown.device) }, "Pin …"),
    h("button", { type: "button", onclick: () => hand.unpin(shown.device) }, "Unpin …"), policy);
  const shown = {};
  const node = h("div", { class: "title" }, h("h1", null, name), where, chip, buttons);
  const update = (device) => {
    shown.device = device;
    shown.policy = state.policies.find((one) => one.name === device.policy);
    const [tone, word] = standing(device);
    text(chip, word);
    attribute(chip, "data-tone", tone);
    text(where, point(device.point));
    attribute(where, "data-tone", device.route);
    buttons.hidden = !state.writable;
    policy.hidden = !shown.policy?.name.includes("/");
    text(policy, shown.policy?.suspended ? "Resume policy …" : "Suspend policy …");
  };
  return { node, update };
}

function facts() {
  const names = ["Ordered point", "Link", "Round trip", "Latency p50 / p95", "Frames/s", "Accuracy drop", "Oldest unsent frame",
    "Cut below its bits", "Order", "Policy", "Guard moves", "Switches", "Lost, dropped", "Running for"];
  const values = names.map(() => h("dd", null, UNKNOWN));
  const node = h("section", { class: "card live", "aria-labelledby": "facts" }, h("h2", { id: "facts" }, "Now"),
    h("dl", { class: "facts" }, ...names.flatMap((name, at) => [h("dt", null, name), values[at]])));
  const sum = (reasons) => Object.values(reasons).reduce((all, count) => all + count, 0);
  const update = (device) => {
    const { accuracyDropPermille: drop, accuracyBudgetPermille: budget } = device;
    const now = [
      point(device.assigned), rate(device.uplinkBps), millis(device.rttUs), `${millis(device.totalP50Us)} / ${millis(device.totalP95Us)}`,
      device.framesPerSecond.toFixed(1), drop === null ? UNKNOWN : budget === null ? percent(drop) : `${percent(drop)} of ${percent(budget)}`,
      millis(device.queueAgeUs), percent(device.cutPermille), device.epoch ? `epoch ${device.epoch}` : "none yet",
      device.policy ?? UNKNOWN, device.guardedForMs === null ? String(device.guardMoves) : `${device.guardMoves}, away for ${span(device.guardedForMs)}`,
      String(device.switches), `${sum(device.frames.lost)}, ${sum(device.frames.dropped)} of ${device.frames.captured}`, span(device.uptimeMs),
    ];
    now.forEach((value, at) => text(values[at], value));
  };
  return { node, update };
}

function bars() {
  const list = h("div", { class: "bars", role: "list" });
  const node = h("section", { class: "card live", "aria-labelledby": "bars" }, h("h2", { id: "bars" }, "Where a frame's time goes"), list,
    h("p", { class: "small" }, "Medians at the point in force; what was not measured in the last second is left out."));
  const make = () => {
    const name = h("span");
    const bar = h("i");
    const value = h("span", { class: "value" });
    return { node: h("div", { role: "listitem" }, name, h("span", { class: "track", "aria-hidden": "true" }, bar), value), name, bar, value };
  };
  const update = (device) => {
    const shown = STAGES.filter(([id]) => id in device.stagesUs);
    const most = Math.max(1, ...shown.map(([id]) => device.stagesUs[id]));
    keyed(list, shown, ([id]) => id, make, ({ name, bar, value }, [id, title, side]) => {
      text(name, title);
      bar.className = side;
      bar.style.width = `${Math.max(1, (device.stagesUs[id] / most) * 100)}%`;
      text(value, millis(device.stagesUs[id]));
    });
    list.hidden = !shown.length;
  };
  return { node, update };
}

function past() {
  const body = h("tbody");
  const none = h("p", { class: "small" }, "Nothing has happened yet.");
  const head = h("thead", null, h("tr", null, ...["When", "What", "To", "Why"].map((title) => h("th", { scope: "col" }, title))));
  const table = h("table", { class: "past" }, h("caption", { class: "unseen" }, "Decisions and moves of this device, newest first"), head, body);
  const node = h("div", null, none, h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Decisions and moves" }, table));
  const make = (moment) => ({ node: h("tr", { "data-tone": moment.tone }, h("td", null, clock(moment.atMs)), h("td", null, moment.title), h("td", null, point(moment.to)),
    h("td", { class: "why" }, moment.why || UNKNOWN)) });
  const update = (moments) => {
    none.hidden = moments.length > 0;
    table.parentNode.hidden = moments.length === 0;
    keyed(body, [...moments].reverse().slice(0, PAST), (moment) => moment.key, make, () => {});
  };
  return { node, update };
}

function candidates() {
  const body = h("tbody");
  const head = ["Point", "Predicted", "Accuracy drop", "Would send", "Ruled out"];
  const words = h("p", { class: "small" });
  const node = h("details", { class: "card" }, h("summary", null, "What could be chosen"), words,
    h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Candidates" },
      h("table", { class: "past" }, h("caption", { class: "unseen" }, "Candidates of the controller's last sweep"),
        h("thead", null, h("tr", null, ...head.map((title) => h("th", { scope: "col" }, title)))), body)));
  const out = (why) => (why === null ? "" : typeof why === "string" ? why.replace("NotAllowed", "Not allowed") : `Breaks ${Object.values(why)[0].toLowerCase()}`);
  const make = () => {
    const cells = head.map(() => h("td"));
    return { node: h("tr", null, ...cells), cells };
  };
  const update = (decisions) => {
    node.hidden = !decisions;
    if (!decisions) return;
    text(words, `Sweep of ${clock(decisions.atMs)} by ${decisions.policy}, ${decisions.mode === "Advise" ? "advising only" : "enforced"}.`);
    keyed(body, decisions.candidates, (one) => one.point, make, ({ cells }, one) => {
      const now = [`${point(one.point)}${one.point === decisions.current ? " ← now" : ""}`, millis(one.predicted.totalUs), percent(one.accuracyDropPermille), rate(one.uplinkBps), out(one.ruledOut)];
      now.forEach((value, at) => text(cells[at], value));
    });
  };
  return { node, update };
}

/** One list of what happened: the device's own moves, and the controller's decisions with their reasons. */
function merge(moments, decisions) {
  const own = moments.filter((moment) => moment.kind !== "decision").map((moment) => ({
    key: `${moment.atMs} ${moment.kind} ${moment.epoch}`, atMs: moment.atMs, to: moment.to, title: kind(moment.kind),
    why: moment.kind === "switched" ? `obeyed order ${moment.epoch}` : moment.detail,
    words: happened(moment), tone: tone(moment),
  }));
  const ordered = (decisions?.history ?? []).map((entry) => ({
    key: `${entry.atMs} ordered ${entry.epoch}`, atMs: entry.atMs, to: entry.to, title: reason(entry.reason),
    why: entry.detail, words: `ordered to ${point(entry.to)}: ${entry.detail}`, tone: route(entry.to),
  }));
  const seen = new Map([...own, ...ordered].map((one) => [one.key, one]));
  return [...seen.values()].sort((a, b) => a.atMs - b.atMs);
}

/** The view of the device `name`. */
export function deviceView(name) {
  const top = header(name);
  const play = stage(name);
  const now = facts();
  const line = timeline();
  const times = bars();
  const history = past();
  const could = candidates();
  const gone = h("div", { class: "empty" }, h("h2", null, `${name} does not speak`),
    h("p", null, "It said nothing for some seconds, or never did. It comes back here by itself with its next word."));
  const first = h("section", { class: "card", "aria-labelledby": "why" }, h("h2", { id: "why" }, "Decisions, last five minutes"), line.node, history.node);
  const body = h("div", { class: "two" }, h("div", { class: "column" }, play.node, first), h("div", { class: "column" }, now.node, times.node));
  const moments = new Map();
  let decisions = null;
  let drawn = 0;
  let asked = false;

  const remember = (moment) => moments.set(`${moment.atMs} ${moment.kind} ${moment.epoch}`, moment);
  const load = () => ask(`devices/${encodeURIComponent(name)}`).then((detail) => {
    line.recall(detail.trail);
    detail.moments.forEach(remember);
  }).catch(() => {});
  const explain = () => {
    if (state.controller !== "up" || document.hidden) return;
    ask(`devices/${encodeURIComponent(name)}/decisions`).then((answer) => { decisions = answer; }).catch(() => {});
  };

  const update = () => {
    const device = state.devices.get(name);
    gone.hidden = Boolean(device) || state.status === "waiting";
    body.hidden = top.node.lastChild.hidden = !device;
    could.node.hidden = !device || !decisions;
    if (!device) return;
    if (!asked) load().then(explain);
    asked = true;
    top.update(device);
    play.follow(device);
    now.update(device);
    times.update(device);
    line.take({ atMs: device.atMs, uplinkBps: device.uplinkBps, totalP95Us: device.totalP95Us, point: device.point, guarded: device.guardedForMs !== null });
    // Twice a second is often enough for a line of five minutes.
    if (state.nowMs === drawn) return;
    drawn = state.nowMs;
    const all = merge([...moments.values()], decisions);
    line.draw(all, state.nowMs);
    history.update(all);
    could.update(decisions);
  };
  const ends = [watch(update), listen((moment) => {
    if (moment.device !== name) return;
    remember(moment);
    explain();
  })];
  const asking = setInterval(explain, ASK_MS);
  const crumb = h("nav", { class: "crumb", "aria-label": "Place" }, h("a", { href: "#/" }, "← All devices"));
  return { nodes: [crumb, top.node, gone, body, could.node], leave: () => {
    ends.forEach((end) => end());
    clearInterval(asking);
    play.leave();
  } };
}
