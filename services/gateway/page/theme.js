// Light, dark, or as the system has it.

const NEXT = { system: "light", light: "dark", dark: "system" };
const KEY = "autotiler-theme";

function kept() {
  try {
    return localStorage.getItem(KEY) ?? "system";
  } catch {
    return "system";
  }
}

/** Makes `button` go through the themes. */
export function start(button) {
  const set = (theme) => {
    if (theme === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    button.textContent = `Theme: ${theme}`;
    button.dataset.now = theme;
  };
  set(kept() in NEXT ? kept() : "system");
  button.addEventListener("click", () => {
    const theme = NEXT[button.dataset.now];
    set(theme);
    try {
      localStorage.setItem(KEY, theme);
    } catch {
      // A browser that keeps nothing still changes colour.
    }
  });
}
