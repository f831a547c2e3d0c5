"""Walks through the live page as a person would: walk.py WALK URL [...]

Each walk says on standard output what it has seen. The test that started it waits for that, changes something (a device
switches, the gateway is killed), and the walk goes on when it sees it.
"""

import json
import re
import sys
import time

from page import THEMES, WIDTHS, Visit, chromium, cue, expect


def fleet(browser, url, count):
    """Many devices: found, sorted, filtered; a switch, a guard, one that falls silent; by keyboard alone."""
    visit = Visit(browser, url)
    page, count = visit.page, int(count)
    visit.open()
    expect(visit.rows()).to_have_count(count)
    speaking = page.locator(".figures div").filter(has_text="Devices speaking").locator("dd")
    expect(speaking).to_have_text(str(count))
    cue("all devices are shown")

    expect(visit.row("cam-07").locator(".point")).to_have_text("Server only · 60 kbit")
    expect(page.locator(".log")).to_contain_text("cam-07 switched from Layer 36 · ratio 4 · 12 kbit to Server only")
    expect(visit.row("cam-08").locator("td.state")).to_have_text("Guarding")
    expect(visit.row("cam-09")).to_have_count(0)
    expect(speaking).to_have_text(str(count - 1))
    # For those who hear the page.
    expect(page.get_by_role("log")).to_contain_text("cam-07 switched from")

    page.get_by_label("Show").select_option("guarding")
    expect(visit.rows()).to_have_count(1)
    page.get_by_label("Show").select_option("")
    page.get_by_label("Find").fill("server-only")
    expect(visit.rows()).to_have_count(1)
    page.get_by_label("Find").fill("no such device")
    expect(page.get_by_text("No device fits what is asked for above.")).to_be_visible()
    page.get_by_label("Find").fill("")
    expect(visit.rows()).to_have_count(count - 1)
    visit.fits_everywhere()
    by_keyboard(visit)
    # Nobody named a token, so there is nothing to press that would need one.
    expect(page.get_by_role("button", name="Pin")).to_have_count(0)
    visit.says_nothing()


def by_keyboard(visit):
    """From the top of the page to a device, and back."""
    page = visit.page
    page.set_viewport_size({"width": 1440, "height": 900})
    page.reload()
    visit.is_live()
    press(page, "Tab", page.get_by_role("link", name="Skip to the content"))
    page.keyboard.press("Enter")
    expect(page.locator("#main")).to_be_focused()
    press(page, "Tab", page.get_by_label("Find"))
    press(page, "Tab", page.get_by_label("Show"))
    press(page, "Tab", page.get_by_label("Sort by"))
    head = page.get_by_role("columnheader", name="Device")
    press(page, "Tab", head.get_by_role("button"))
    for order in ("descending", "ascending"):
        page.keyboard.press("Enter")
        expect(head).to_have_attribute("aria-sort", order)
    for _ in range(6):
        page.keyboard.press("Tab")
    press(page, "Tab", page.get_by_role("link", name="cam-00", exact=True).first)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="cam-00")).to_be_visible()
    expect(page.locator("#main")).to_be_focused()
    press(page, "Tab", page.get_by_role("link", name="All devices"))
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Devices", exact=True)).to_be_visible()
    page.go_back()
    expect(page.get_by_role("heading", name="cam-00")).to_be_visible()


def press(page, key, focused):
    """Presses a key, which must bring the focus there, for everybody to see."""
    page.keyboard.press(key)
    expect(focused).to_be_focused()
    expect(focused, "the focus can be seen").not_to_have_css("outline-style", "none")


LABELS_FIT = """() => [...document.querySelectorAll(".frame g.box")].every((box) =>
  box.querySelector("path").getBBox().width > box.querySelector("text").getComputedTextLength())"""


def held(point):
    """The label of a timeline whose past has a word of the point that no later one replaces: it keeps the last of each second."""
    return re.compile(f"now at {point}.*, for ([2-9]|[1-9][0-9]) s")


def stream(browser, url, device):
    """One device: its plane and its boxes; then its picture; then nothing, for it works alone."""
    visit = Visit(browser, url)
    page = visit.page
    visit.open(f"#/devices/{device}")
    plane, picture = page.get_by_alt_text("The newest tiled plane"), page.locator(".frame:not(.plane) img")
    expect(plane).to_be_visible()
    assert plane.evaluate("image => image.decode().then(() => image.naturalWidth)") > 0
    boxes = page.locator(".frame g.box")
    expect(boxes.first).to_be_visible()
    assert page.evaluate(LABELS_FIT), "each name has a ground as wide as it is"
    expect(page.get_by_text("Found: ")).to_be_visible()
    expect(page.get_by_text("Feature maps of layer 36")).to_be_visible()
    visit.fits_everywhere()
    expect(page.get_by_role("img", name="Last five minutes")).to_have_attribute("aria-label", held("Layer 36"))
    cue("plane and boxes are shown")

    chip = page.locator(".title .chip").first
    expect(chip).to_have_text("Server only · 40 kbit")
    expect(picture).to_be_visible()
    assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") > 0
    expect(page.get_by_alt_text("The newest picture, as it is sent")).to_be_visible()
    table = page.get_by_role("region", name="Decisions and moves")
    expect(table.get_by_role("row").nth(1)).to_contain_text("Switched")
    expect(page.get_by_role("img", name="Last five minutes")).to_have_attribute("aria-label", held("Server only"))
    cue("the picture is shown")

    expect(chip).to_have_text("Device only")
    expect(page.get_by_text("The device finds everything by itself now.")).to_be_visible()
    expect(boxes).to_have_count(0)
    # Who comes later sees where it has been, although seconds arrive before the past that was asked for.
    page.reload()
    until(page, "document.querySelectorAll('.timeline .band').length >= 3")
    visit.fits_everywhere()
    visit.says_nothing()


def outages(browser, url, count):
    """The gateway is killed and comes back; then nats-server."""
    visit = Visit(browser, url)
    page, banner = visit.page, visit.page.locator("#banner")
    visit.open()
    expect(visit.rows()).to_have_count(int(count))
    expect(banner).to_be_hidden()
    visit.says_nothing()
    cue("all is well")

    expect(page.locator("#status")).to_have_text("reconnecting …")
    expect(banner).to_contain_text("The gateway does not answer.")
    visit.fits("phone", "dark")
    cue("the gateway is missed")

    visit.is_live()
    expect(banner).to_be_hidden()
    expect(visit.rows()).to_have_count(int(count))
    cue("the gateway is back")

    expect(banner).to_contain_text("does not reach nats-server")
    expect(visit.rows()).to_have_count(0)
    # Nobody is told to start devices that are there.
    expect(page.get_by_text("No device speaks yet")).to_be_hidden()
    visit.fits("desktop", "light")
    cue("nats-server is missed")

    expect(banner).to_be_hidden()
    expect(visit.rows()).to_have_count(int(count))


def pins_in_vain(browser, url, device):
    """A pin without the token is refused, in words."""
    visit = Visit(browser, url)
    page, dialog = visit.page, visit.page.get_by_role("dialog")
    visit.open(f"#/devices/{device}")
    opener = page.get_by_role("button", name="Pin …", exact=True)
    opener.focus()
    page.keyboard.press("Enter")
    expect(dialog).to_be_visible()
    visit.fits("phone", "dark")
    visit.fits("desktop", "light")
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(opener).to_be_focused()

    opener.click()
    dialog.get_by_label("Operating point").fill("device-only")
    dialog.get_by_label("Token").fill("not-the-token-at-all")
    dialog.get_by_role("button", name="Pin").click()
    expect(dialog.get_by_role("alert")).to_contain_text("needs the gateway's token")
    # What a browser says of an answer with 401.
    visit.console = [said for said in visit.console if "401" not in said]
    visit.says_nothing()


def pins(browser, url, device, token):
    """A pin with the token, which is kept nowhere but in this page's memory."""
    visit = Visit(browser, url)
    page, dialog = visit.page, visit.page.get_by_role("dialog")
    visit.open(f"#/devices/{device}")
    page.get_by_role("button", name="Pin …", exact=True).click()
    dialog.get_by_label("Operating point").fill("device-only")
    dialog.get_by_label("Token").fill(token)
    dialog.get_by_role("button", name="Pin").click()
    expect(dialog).to_have_count(0)
    page.get_by_role("button", name="Unpin …").click()
    expect(dialog.get_by_label("Token")).to_have_value(token)
    assert page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie])") == '[{},{},""]'
    visit.says_nothing()


def unpins(browser, url, device, token):
    """Takes the pin away again."""
    visit = Visit(browser, url)
    page, dialog = visit.page, visit.page.get_by_role("dialog")
    visit.open(f"#/devices/{device}")
    page.get_by_role("button", name="Unpin …").click()
    dialog.get_by_label("Token").fill(token)
    dialog.get_by_role("button", name="Unpin").click()
    expect(dialog).to_have_count(0)
    visit.says_nothing()


# Before anything of the page runs: when the devices' rows were there, and each gap between two frames of the screen.
SPY = """
  window.gaps = []; window.tasks = []; window.seen = {};
  new PerformanceObserver((list) => list.getEntries().forEach((task) => tasks.push(task.duration))).observe({ type: "longtask" });
  let last = null;
  const frame = (now) => { if (last !== null) gaps.push(now - last); last = now; requestAnimationFrame(frame); };
  requestAnimationFrame(frame);
  new MutationObserver(() => {
    const rows = document.querySelectorAll(".fleet tbody tr");
    if (rows.length >= COUNT) window.shownMs ??= performance.now();
    if (window.watches) for (const row of rows) {
      if (row.querySelector("td.point").textContent.startsWith("Server")) window.seen[row.querySelector("a").textContent] ??= Date.now();
    }
  }).observe(document, { childList: true, subtree: true, characterData: true });
"""


def until(page, expression, arg=None, seconds=60, between_ms=50):
    """What the page says at last, asked again and again: wait_for_function evaluates in it, which its policy forbids."""
    deadline = time.monotonic() + seconds
    while not (said := page.evaluate(expression, arg)):
        assert time.monotonic() < deadline, f"waited {seconds} s in vain for {expression}"
        page.wait_for_timeout(between_ms)
    return said


def measure(browser, url, count):
    """Says how long the page takes to load, how even it runs, and when it showed each device that switched."""

    def visit():
        visit = Visit(browser, url)
        visit.context.add_init_script(SPY.replace("COUNT", count))
        visit.open()
        until(visit.page, "window.shownMs > 0")
        return visit

    loads = []
    for _ in range(10):
        # Each in a context of its own: nothing is cached.
        one = visit()
        loads.append(one.page.evaluate("shownMs / 1000"))
        one.context.close()
    cue(json.dumps({"loads": loads}))

    page = visit().page
    # The first frames are those of loading.
    until(page, "gaps.length > 60")
    page.evaluate("gaps.length = tasks.length = 0")
    until(page, "gaps.length >= 600")
    cue(json.dumps(page.evaluate("({ gaps, tasks })")))

    page.evaluate("window.watches = true")
    cue(json.dumps({"watches": True}))
    until(page, "Object.keys(seen).length >= 30")
    cue(json.dumps(page.evaluate("seen")))


# Seconds of a device's past that a picture shows; the timeline holds five minutes.
PAST_S = 285


def pictures(browser, url, count, out):
    """Pictures of all devices and of one, in each width and theme, once there is something to be seen on them."""
    visit = Visit(browser, url)
    page = visit.page
    visit.open()
    expect(visit.rows()).to_have_count(int(count), timeout=120_000)
    shown = busiest(page, PAST_S)
    for width, (wide, high) in WIDTHS.items():
        for theme in THEMES:
            page.set_viewport_size({"width": wide, "height": high})
            page.emulate_media(color_scheme=theme)
            page.goto(f"{url}/#/")
            expect(visit.rows()).to_have_count(int(count), timeout=120_000)
            page.screenshot(path=f"{out}/fleet-{wide}-{theme}.png", full_page=width == "desktop")
            page.goto(f"{url}/#/devices/{shown}")
            expect(page.locator(".frame g.box").nth(2)).to_be_visible()
            expect(page.locator(".frame.plane img")).to_be_visible()
            until(page, "document.querySelector('.timeline path.late').getAttribute('d').length > 1000")
            page.screenshot(path=f"{out}/device-{wide}-{theme}.png", full_page=width == "desktop")


def busiest(page, seconds):
    """Waits for so long a past; the device that was ordered to send planes and has been through most."""
    return until(
        page,
        """async (seconds) => {
          const ask = async (path) => (await fetch(`api/v1/devices${path}`)).json();
          const { nowMs, devices } = await ask("");
          // One that has just fallen silent is a problem without a past.
          const all = (await Promise.all(devices.map(({ name }) => ask(`/${name}`)))).filter(({ trail }) => trail);
          // Where a link dies for long, the past begins anew.
          const past = all.filter(({ trail }) => nowMs - trail[0].atMs >= seconds * 1000);
          const split = past.filter(({ route, policy }) => route === "split" && policy);
          split.sort((a, b) => b.moments.length - a.moments.length);
          return split.length > 0 && split[0].name;
        }""",
        arg=seconds,
        seconds=600,
        between_ms=1000,
    )


WALKS = {walk.__name__: walk for walk in (fleet, stream, outages, pins_in_vain, pins, unpins, measure, pictures)}

if __name__ == "__main__":
    with chromium() as browser:
        WALKS[sys.argv[1]](browser, *sys.argv[2:])
