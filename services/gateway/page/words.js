// Figures and names as people read them. What is not known is a dash.

export const UNKNOWN = "–";

const digits = (value, most) => value.toLocaleString("en", { maximumFractionDigits: most, useGrouping: false });

/** Bits per second. */
export function rate(bps) {
  if (bps === null || bps === undefined) return UNKNOWN;
  if (bps >= 99.95e6) return `${digits(bps / 1e6, 0)} Mbit/s`;
  if (bps >= 1e6) return `${digits(bps / 1e6, bps < 10e6 ? 2 : 1)} Mbit/s`;
  return `${digits(bps / 1e3, bps < 10e3 ? 1 : 0)} kbit/s`;
}

/** Microseconds, as milliseconds. */
export function millis(us) {
  if (us === null || us === undefined) return UNKNOWN;
  const ms = us / 1e3;
  if (us > 0 && ms < 0.05) return "< 0.1 ms";
  if (ms >= 10e3) return `${digits(ms / 1e3, 1)} s`;
  return `${digits(ms, ms < 10 ? 1 : 0)} ms`;
}

/** A span of time in milliseconds. */
export function span(ms) {
  const seconds = Math.round(ms / 1000);
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  const hours = Math.floor(seconds / 3600);
  return hours < 48 ? `${hours} h ${Math.floor((seconds % 3600) / 60)} min` : `${Math.floor(hours / 24)} days`;
}

/** A time of day. */
export const clock = (ms) => new Date(ms).toLocaleTimeString("en-GB");

/** Thousandths, as percent. */
export const percent = (permille) => (permille === null || permille === undefined ? UNKNOWN : `${digits(permille / 10, 1)} %`);

const bits = (spelling) => {
  const [, number, unit] = /^([\d.]+)([kM]?)$/.exec(spelling) ?? [];
  if (number === undefined) return spelling;
  const value = Number(number) * (unit === "M" ? 1e6 : unit === "k" ? 1e3 : 1);
  return `${digits(value / 1e3, 1)} kbit`;
};

/** Where a point has the work done: split, device-only, server-only. */
export const route = (point) => (point.startsWith("layer=") ? "split" : point.split(",")[0]);

/** `layer=36,cr=4,bits=12k` in words. */
export function point(spelling) {
  if (!spelling) return UNKNOWN;
  const parts = Object.fromEntries(spelling.split(",").map((part) => part.split("=")));
  const size = parts.bits ? bits(parts.bits) : null;
  if ("layer" in parts) return `Layer ${parts.layer} · ratio ${parts.cr} · ${size}`;
  if ("server-only" in parts) return `Server only · ${size}`;
  return "Device only";
}

/** What happened, in a sentence without its subject. */
export function happened(moment) {
  switch (moment.kind) {
    case "switched": return `switched from ${point(moment.from)} to ${point(moment.to)}`;
    case "guarded": return `left its link by itself: ${point(moment.to)}`;
    case "released": return `came back to ${point(moment.to)}`;
    case "refused": return `cannot obey order ${moment.epoch}: ${moment.detail}`;
    case "returned": return `speaks again, ${moment.detail}`;
    case "restarted": return `started anew at ${point(moment.to)}`;
    case "decision": return `was ordered to ${point(moment.to)}: ${moment.detail}`;
    default: return moment.kind;
  }
}

const REASONS = {
  FirstAssignment: "First order", Degraded: "Fewer bits", Recovered: "More bits", Pinned: "Pinned",
  Fallback: "Fallback", PolicyChanged: "Policy changed",
};

/** A decision's reason. */
export const reason = (word) => REASONS[word] ?? word;

const KINDS = {
  switched: "Switched", guarded: "Guard left", released: "Guard back", refused: "Refused", restarted: "Restarted", returned: "Speaks again",
};

/** A moment's kind. */
export const kind = (word) => KINDS[word] ?? word;

/** How a moment looks: alarming, or in the colour of where the work is done from then on. */
export const tone = (moment) => (["guarded", "refused"].includes(moment.kind) ? "alarm" : route(moment.to));

/** What holds for a device now: a tone and a word. */
export function standing(device) {
  if (device.refused) return ["alarm", "Refuses order"];
  if (device.guardedForMs !== null) return ["alarm", "Guarding"];
  if (device.synced === false) return ["server-only", "Behind order"];
  if (device.synced) return ["device-only", "In sync"];
  return ["", device.epoch ? "Follows order" : "On its own"];
}
