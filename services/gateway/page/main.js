// The page: one header, one view at a time, chosen by what stands after the # in its address.

import { text } from "./dom.js";
import { deviceView } from "./device.js";
import { fleetView } from "./fleet.js";
import { listen, start, state, watch } from "./store.js";
import * as theme from "./theme.js";
import { happened } from "./words.js";

const STATUS = { waiting: "connecting", live: "live", lost: "reconnecting …" };
const SAID = 20;

const main = document.getElementById("main");
const status = document.getElementById("status");
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

theme.start(document.getElementById("theme"));
start();
watch(() => {
  text(status, STATUS[state.status]);
  status.dataset.state = state.status;
  document.body.classList.toggle("lost-stream", state.status === "lost");
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
