"""Opens a page of the book in a browser that has no network, and says what is wrong with it."""

import functools
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote

import axe_playwright_python
from playwright.sync_api import Browser, BrowserContext, ElementHandle, Page, sync_playwright

#: What a page weighs at most, with all that it loads, in bytes before any compression.
HEAVIEST = 3_000_000
PHONE, DESK = {"width": 390, "height": 844}, {"width": 1280, "height": 900}

CHECKS = Path(__file__).with_name("page_checks.js").read_text(encoding="utf-8")
AXE = Path(axe_playwright_python.__file__).with_name("axe.min.js").read_text(encoding="utf-8")
#: What axe-core is asked. Colours and alt texts have stricter checks of our own.
AXE_RULES = [
    "aria-hidden-focus", "aria-input-field-name", "aria-required-attr", "aria-toggle-field-name",
    "aria-valid-attr", "aria-valid-attr-value", "bypass", "button-name", "document-title",
    "duplicate-id-aria", "frame-title", "html-has-lang", "image-alt", "input-button-name", "label",
    "link-name", "meta-viewport", "nested-interactive", "role-img-alt",
    "scrollable-region-focusable", "select-name", "summary-name", "svg-img-alt", "tabindex",
    "td-headers-attr", "video-caption",
]  # fmt: skip
#: While a slider's picture is photographed, what the slider says of itself is out of sight.
PICTURE_ONLY = "input, output, label, button, select { visibility: hidden !important }"
DARK = "document.documentElement.dataset.theme = document.documentElement.dataset.mode = 'dark'"


def find_chromium() -> str | None:
    """The browser's program: CHROMIUM, or what the system has, or what Playwright installed."""
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    if found:
        return found
    with sync_playwright() as playwright:
        own = playwright.chromium.executable_path
    return own if Path(own).exists() else None


class _Silent(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve a folder on this machine; yields its address, which ends in a slash."""
    server = ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(_Silent, directory=str(folder))
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def chromium(program: str) -> Iterator[Browser]:
    """A headless browser. It cannot resolve any name, so the network is out of its reach."""
    arguments = ["--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=arguments)
        yield browser
        browser.close()


def telephone(browser: Browser) -> BrowserContext:
    """A narrow window whose owner wants no motion, so that every picture stands still."""
    return browser.new_context(viewport=PHONE, reduced_motion="reduce", color_scheme="light")


def complaints(context: BrowserContext, home: str, path: str) -> list[str]:
    """Visit a page; return one line for each thing that is wrong with it.

    Args:
        context: of :func:`telephone`.
        home: the address of :func:`served`.
        path: of the page, from there.
    """
    found: list[str] = []
    page = context.new_page()
    listen(page, home, found)
    page.goto(home + quote(path), wait_until="load")
    page.evaluate("window.MathJax?.startup?.promise")
    page.evaluate(CHECKS)
    weight = page.evaluate("pageChecks.bytes()")
    if weight > HEAVIEST:
        found.append(f"weighs {weight / 1e6:.2f} MB, more than {HEAVIEST / 1e6:.0f} MB")
    found += page.evaluate("pageChecks.overflow()")
    page.evaluate("pageChecks.unfold()")
    for check in ("overflow", "math", "words", "contrast"):
        found += page.evaluate(f"pageChecks.{check}()")
    found += accessibility(page)
    found += dead_sliders(page)
    found += out_of_reach(page)
    page.evaluate(DARK)
    found += [f"in the dark: {one}" for one in page.evaluate("pageChecks.contrast()")]
    found += page.evaluate("pageChecks.paper()")
    page.set_viewport_size(DESK)
    found += page.evaluate("pageChecks.overflow()")
    page.set_viewport_size(PHONE)
    page.close()
    return list(dict.fromkeys(found))


def listen(page: Page, home: str, found: list[str]) -> None:
    """Note requests that fail or go elsewhere, and errors on the console."""

    def asked(request):
        if not request.url.startswith((home, "data:", "blob:")):
            found.append(f"asks another host: {request.url}")

    def answered(response):
        if response.status >= 400:
            found.append(f"failed request ({response.status}): {response.url.removeprefix(home)}")

    def said(message):
        if message.type == "error":
            found.append(f"console error: {message.text}")

    page.on("request", asked)
    page.on("response", answered)
    page.on("requestfailed", lambda request: found.append(f"failed request: {request.url}"))
    page.on("console", said)
    page.on("pageerror", lambda error: found.append(f"page error: {error}"))


def accessibility(page: Page) -> list[str]:
    """What axe-core finds: controls without a name, scrolling boxes out of the keyboard's reach."""
    page.evaluate(AXE)
    options = {"runOnly": AXE_RULES, "resultTypes": ["violations"]}
    result = page.evaluate("options => axe.run(document, options)", options)
    return [
        f"{rule['id']}: {node['html'][:160]}"
        for rule in result["violations"]
        for node in rule["nodes"]
    ]


def dead_sliders(page: Page) -> list[str]:
    """Move every slider by a key, and look whether that changes its picture."""
    found = []
    for slider in page.query_selector_all("input[type=range]"):
        if not slider.is_visible():
            continue
        name = slider.evaluate(
            "s => s.getAttribute('aria-label') || s.labels[0]?.textContent.trim()"
        )
        at_end = slider.evaluate("s => Number(s.value) >= Number(s.max || 100)")
        box = slider.evaluate_handle("s => pageChecks.stage(s)").as_element()
        before = photograph(box)
        still = photograph(box) == before
        slider.press("ArrowLeft" if at_end else "ArrowRight")
        if not still:
            found.append(f"slider {name!r}: its picture changes by itself")
        elif photograph(box) == before:
            found.append(f"slider {name!r}: moved by a key, its picture stays the same")
    return found


def photograph(box: ElementHandle) -> bytes:
    return box.screenshot(style=PICTURE_ONLY, animations="disabled")


def out_of_reach(page: Page) -> list[str]:
    """Walk through the page by the Tab key; return the controls that were not reached."""
    page.evaluate("pageChecks.watchFocus()")
    before, now = -1, 0
    while now > before:
        for _ in range(40):
            page.keyboard.press("Tab")
        before, now = now, page.evaluate("pageChecks.reached()")
    return page.evaluate("pageChecks.unreached()")
