// A line of the last minute, as small as a word.

import { attribute, s } from "./dom.js";

const WIDE = 96;
const HIGH = 28;

/** An empty line; beside a figure that says the same, so it is not read out. */
export function spark() {
  const under = s("path", { class: "under" });
  const line = s("path");
  const node = s("svg", { class: "spark", viewBox: `0 0 ${WIDE} ${HIGH}`, preserveAspectRatio: "none", "aria-hidden": "true" }, under, line);
  return { node, under, line };
}

/** Draws `values`, oldest first; null is a gap. */
export function draw({ under, line }, values, seconds = 60) {
  const most = Math.max(1, ...values.map((value) => value ?? 0)) * 1.1;
  const x = (at) => WIDE - ((values.length - 1 - at) * WIDE) / (seconds - 1);
  const y = (value) => HIGH - 1 - (value / most) * (HIGH - 3);
  let path = "";
  let area = "";
  let from = null;
  values.forEach((value, at) => {
    if (value === null) {
      if (from !== null) area += `L${x(at - 1).toFixed(1)} ${HIGH}Z`;
      from = null;
      return;
    }
    const to = `${x(at).toFixed(1)} ${y(value).toFixed(1)}`;
    path += `${from === null ? "M" : "L"}${to}`;
    area += from === null ? `M${x(at).toFixed(1)} ${HIGH}L${to}` : `L${to}`;
    from ??= at;
  });
  if (from !== null) area += `L${x(values.length - 1).toFixed(1)} ${HIGH}Z`;
  attribute(line, "d", path);
  attribute(under, "d", area);
}
