// The page: one header, one view at a time, chosen by what stands after the # in its address.

import { text } from "./dom.js";
import { deviceView } from "./device.js";
import { fleetView } from "./fleet.js";
import { listen, start, state, watch } from "./store.js";
import * as theme from "./theme.js";
import { happened } from "./words.js";

const STATUS = { waiting: "connecting", live: "live", lost: "reconnecting …" };
const SAID = 20;
const AWAY = {
  gateway: "The gateway does not answer. What is below is how it was; the page tries again by itself.",
  broker: "The gateway does not reach nats-server, so no device can be heard. It tries again by itself.",
  controller: "The controller does not answer: policies, decisions and their reasons are not known now.",
};

const main = document.getElementById("main");
const status = document.getElementById("status");
const banner = document.getElementById("banner");
const said = document.getElementById("said");

let leave = null;

function show() {
  const [, place, name] = /^#\/(devices)\/([^/]+)$/.exec(location.hash) ?? [];
  leave?.();
  const view = place ? deviceView(decodeURIComponent(name)) : fleetView();
  document.title = place ? `${decodeURIComponent(name)} – Auto-Tiler` : "Auto-Tiler";
  main.replaceChildren(...view.nodes);
  leave = view.leave;
}

function move() {
  if (location.hash && !location.hash.startsWith("#/")) {
    main.focus();
    return;
  }
  show();
  window.scrollTo(0, 0);
  main.focus({ preventScroll: true });
}

/** Who does not answer; the nearest to this page, for what lies behind it is not known. */
function away() {
  if (state.status === "lost") return "gateway";
  if (state.status !== "live") return null;
  if (state.broker === "away") return "broker";
  return state.controller === "away" ? "controller" : null;
}

theme.start(document.getElementById("theme"));
start();
watch(() => {
  text(status, STATUS[state.status]);
  status.dataset.state = state.status;
  document.body.classList.toggle("lost-stream", state.status === "lost");
  text(banner, AWAY[away()] ?? "");
  banner.hidden = !away();
});
listen((moment) => {
  if (moment.kind === "decision") return;
  const line = document.createElement("p");
  line.textContent = `${moment.device} ${happened(moment)}`;
  said.append(line);
  while (said.childElementCount > SAID) said.firstElementChild.remove();
});
window.addEventListener("hashchange", move);
show();
