// The last five minutes of a device: its link as a line, its operating points as bands, what happened as marks.

import { attribute, h, keyed, s, text } from "./dom.js";
import { clock, point, rate, route, span } from "./words.js";

const WINDOW_MS = 5 * 60 * 1000;
const SAMPLES = 310;
const HIGH = 240;
const TOP = 14;
const LEFT = 62;
const RIGHT = 10;
const BAND = 26;
const FOOT = 20;

/** Steps of 1, 2 and 5 up to `most`, about four of them. */
function ticks(most) {
  const rough = most / 4;
  const ten = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((by) => by * ten).find((by) => by >= rough);
  return Array.from({ length: Math.floor(most / step) + 1 }, (_, at) => at * step);
}

/** Seconds in a row at one point. */
function bands(trail) {
  const made = [];
  for (const second of trail) {
    const last = made.at(-1);
    const same = last && last.point === second.point && last.guarded === second.guarded && second.atMs - last.to < 5000;
    if (same) last.to = second.atMs;
    else {
      if (last && second.atMs - last.to < 5000) last.to = second.atMs;
      made.push({ from: second.atMs, to: second.atMs + 1000, point: second.point, guarded: second.guarded });
    }
  }
  return made;
}

const gaps = (trail, value, x, y) => {
  let path = "";
  let before = null;
  for (const second of trail) {
    const at = value(second);
    if (at === null) { before = null; continue; }
    const broken = before === null || second.atMs - before > 5000;
    path += `${broken ? "M" : "L"}${x(second.atMs).toFixed(1)} ${y(at).toFixed(1)}`;
    before = second.atMs;
  }
  return path;
};

/** An empty timeline. */
export function timeline() {
  const part = (name) => s("g", { class: name });
  const [grid, strips, marks] = [part("lines"), part("strips"), part("marks")];
  const link = s("path", { class: "line" });
  const late = s("path", { class: "late" });
  const node = s("svg", { class: "timeline", height: HIGH, role: "img", "aria-label": "Timeline" }, grid, strips, late, link, marks);
  const box = h("div", null, node,
    h("p", { class: "legend" }, h("span", null, h("i"), "Link capacity"), h("span", null, h("i", { class: "late" }), "Latency p95, on its own scale"),
      h("span", null, "▾ something happened: see the table")));
  const trail = [];

  /** Takes a second, or a newer word of the newest one; what is older than that is passed over. */
  function take(second) {
    const newest = trail.at(-1)?.atMs ?? 0;
    if (second.atMs <= newest) return;
    if (Math.floor(second.atMs / 1000) === Math.floor(newest / 1000)) trail.pop();
    trail.push(second);
    if (trail.length > SAMPLES) trail.shift();
  }

  /** Takes a past, oldest first; what came while it was asked for stays. */
  function recall(past) {
    const newer = trail.filter((second) => second.atMs > (past.at(-1)?.atMs ?? 0));
    trail.length = 0;
    for (const second of [...past, ...newer]) take(second);
  }

  function draw(moments, nowMs) {
    const wide = Math.max(280, Math.round(box.clientWidth || 800));
    attribute(node, "width", wide);
    attribute(node, "viewBox", `0 0 ${wide} ${HIGH}`);
    const since = nowMs - WINDOW_MS;
    const seen = trail.filter((second) => second.atMs >= since);
    const x = (ms) => LEFT + ((ms - since) / WINDOW_MS) * (wide - LEFT - RIGHT);
    const floor = HIGH - FOOT - BAND - 8;
    const most = Math.max(100e3, ...seen.map((second) => second.uplinkBps ?? 0)) * 1.08;
    const y = (bps) => floor - (bps / most) * (floor - TOP);
    const slowest = Math.max(1, ...seen.map((second) => second.totalP95Us ?? 0)) * 1.08;
    const ySlow = (us) => floor - (us / slowest) * (floor - TOP);

    keyed(grid, ticks(most), (bps) => bps, () => {
      const line = s("line", { class: "grid" });
      const name = s("text", { "text-anchor": "end" });
      return { node: s("g", null, line, name), line, name };
    }, ({ line, name }, bps) => {
      for (const [key, value] of Object.entries({ x1: LEFT, x2: wide - RIGHT, y1: y(bps), y2: y(bps) })) attribute(line, key, value);
      attribute(name, "x", LEFT - 8);
      attribute(name, "y", y(bps) + 4);
      text(name, bps === 0 ? "0" : rate(bps).replace("/s", ""));
    });
    attribute(link, "d", gaps(seen, (second) => second.uplinkBps, x, y));
    attribute(late, "d", gaps(seen, (second) => second.totalP95Us, x, ySlow));

    const strip = bands(seen);
    keyed(strips, [...strip, ...[4, 3, 2, 1, 0].map((minute) => ({ minute }))], (item) => ("minute" in item ? `m${item.minute}` : `b${item.from}`), (item) => {
      if ("minute" in item) {
        const name = s("text", { "text-anchor": "end" });
        return { node: name, name };
      }
      const title = s("title");
      const rect = s("rect", { class: "band", rx: 4 }, title);
      const name = s("text", { class: "bandname" });
      return { node: s("g", null, rect, name), rect, name, title };
    }, (row, item) => {
      if ("minute" in item) {
        attribute(row.name, "x", x(nowMs - item.minute * 60_000));
        attribute(row.name, "y", HIGH - 4);
        text(row.name, item.minute ? `−${item.minute} min` : "now");
        return;
      }
      const [from, to] = [Math.max(LEFT, x(item.from)), Math.min(wide - RIGHT, x(item.to))];
      const tone = item.guarded ? "alarm" : route(item.point);
      const name = `${point(item.point)}${item.guarded ? " (guard)" : ""}`;
      for (const [key, value] of Object.entries({ x: from, y: floor + 8, width: Math.max(1, to - from - 1), height: BAND, "data-tone": tone })) attribute(row.rect, key, value);
      text(row.title, `${name}, ${clock(item.from)} to ${clock(item.to)}`);
      attribute(row.name, "x", from + 7);
      attribute(row.name, "y", floor + 8 + BAND / 2 + 4);
      attribute(row.name, "data-tone", tone);
      const room = (to - from - 12) / 6.1;
      const short = name.replace("Layer ", "L").replace(" · ratio ", "/");
      text(row.name, room >= name.length ? name : room >= short.length ? short : "");
    });

    const recent = moments.filter((moment) => moment.atMs >= since);
    keyed(marks, recent, (moment) => moment.key, () => {
      const line = s("line");
      const tip = s("path");
      const title = s("title");
      return { node: s("g", { class: "mark" }, title, line, tip), line, tip, title };
    }, (row, moment) => {
      const at = x(moment.atMs);
      attribute(row.node, "data-tone", moment.tone);
      text(row.title, `${clock(moment.atMs)} ${moment.words}`);
      for (const [key, value] of Object.entries({ x1: at, x2: at, y1: TOP, y2: floor + 8 })) attribute(row.line, key, value);
      attribute(row.tip, "d", `M${at - 5} ${TOP - 10}h10l-5 8z`);
    });

    const rates = seen.map((second) => second.uplinkBps).filter((bps) => bps !== null);
    const link5 = rates.length ? `link between ${rate(Math.min(...rates))} and ${rate(Math.max(...rates))}` : "link not measured";
    const points = strip.length ? `now at ${point(strip.at(-1).point)}, for ${span(nowMs - strip.at(-1).from)}` : "no seconds yet";
    attribute(node, "aria-label", `Last five minutes: ${link5}; ${points}; ${recent.length} moments, all in the table that follows.`);
  }

  return { node: box, take, recall, draw };
}
