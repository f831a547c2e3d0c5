// Pins and suspensions: a dialog that asks for the token, which is kept in this page's memory alone.

import { h, text } from "./dom.js";
import { ask } from "./store.js";

let token = "";

/** Sends a change with the token. */
const send = (method, path, body) => ask(path, {
  method,
  headers: { Authorization: `Bearer ${token}`, ...(body ? { "Content-Type": "application/json" } : {}) },
  body: body ? JSON.stringify(body) : undefined,
});

function dialog(title, words, fields, submit) {
  const secret = h("input", { type: "password", autocomplete: "off", value: token, required: "" });
  const wrong = h("p", { class: "wrong", role: "alert" });
  const go = h("button", { class: "main", type: "submit" }, title);
  const form = h("form", { method: "dialog" }, h("h2", { id: "hand" }, title), h("p", { class: "small" }, words), ...fields,
    h("label", null, "Token", secret), wrong,
    h("div", { class: "row" }, h("button", { type: "button", onclick: () => box.close() }, "Cancel"), go));
  const box = h("dialog", { "aria-labelledby": "hand" }, form);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    token = secret.value.trim();
    go.disabled = true;
    text(wrong, "");
    try {
      await submit();
      box.close();
    } catch (problem) {
      if (problem.status === 401) token = "";
      text(wrong, problem.message);
    } finally {
      go.disabled = false;
    }
  });
  box.addEventListener("close", () => box.remove());
  document.body.append(box);
  box.showModal();
}

const at = (device) => `devices/${encodeURIComponent(device)}/pin`;

/** Asks where to hold a device, beginning with where it is. */
export function pin(device) {
  const point = h("input", { value: device.point, required: "", spellcheck: "false" });
  const hours = h("select", null, ...[["1", "1 hour"], ["8", "8 hours"], ["24", "1 day"], ["", "Until it is unpinned"]].map(([value, title]) => h("option", { value }, title)));
  dialog("Pin", `Holds ${device.name} at one operating point, whatever its policy finds.`,
    [h("label", null, "Operating point", point), h("label", null, "For", hours)],
    () => {
      const until = hours.value ? new Date(Date.now() + Number(hours.value) * 3600_000).toISOString().replace(/\.\d+Z/, "Z") : undefined;
      return send("POST", at(device.name), { point: point.value.trim(), until });
    });
}

/** Asks whether a device is to follow its policy again. */
export const unpin = (device) => dialog("Unpin", `Lets ${device.name} follow its policy again.`, [], () => send("DELETE", at(device.name)));

/** Asks whether a policy is to stand still, or to go on. */
export function suspend(policy) {
  const verb = policy.suspended ? "resume" : "suspend";
  const words = policy.suspended ? `Lets ${policy.name} decide again.` : `Freezes ${policy.name}: nothing is decided, its devices keep what they have.`;
  const path = policy.name.split("/").map(encodeURIComponent).join("/");
  dialog(verb === "suspend" ? "Suspend" : "Resume", words, [], () => send("POST", `policies/${path}/${verb}`));
}
