# SPDX-License-Identifier: Apache-2.0
"""The server's page in a real browser (Debian's chromium and chromium-driver, PyPI's selenium), as a
person uses it: in light and dark, with the keyboard alone, with the text for screen readers.

  FATHOM=build/release/fathom python3 tests/peers/check_page.py [FOLDER]    FOLDER: for pictures
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

ROOT = pathlib.Path(__file__).resolve().parents[2]
THEMES = ["light", "dark"]

# Of every element with text of its own: its contrast with what is behind it, and its text.
CONTRASTS = r"""
const parse = c => (c.match(/[\d.]+/g) || []).map(Number);
const light = c => { const f = v => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  return 0.2126 * f(c[0]) + 0.7152 * f(c[1]) + 0.0722 * f(c[2]); };
const behind = e => { for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor);
  if (c.length === 3 || c[3] > 0) return c; } return [255, 255, 255]; };
const out = [];
for (const e of document.querySelectorAll("body *")) {
  const own = [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
  if (!own && !["TEXTAREA", "INPUT"].includes(e.tagName) || !e.getClientRects().length) continue;
  if (["SCRIPT", "STYLE", "TITLE", "title"].includes(e.tagName) || e.type === "range") continue;
  const style = getComputedStyle(e), svg = e.namespaceURI.endsWith("svg");
  const a = light(parse(svg ? style.fill : style.color)), b = light(behind(e));
  out.push([(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), e.tagName + ": " + e.textContent.trim().slice(0, 30)]);
}
return out;
"""


class Server:
    def __init__(self):
        self.log = tempfile.NamedTemporaryFile("w+", suffix=".log")
        self.process = subprocess.Popen(
            [os.environ["FATHOM"], "serve", str(ROOT / "models/finch-embed"), "--port", "0", "--threads", "1",
             "--policy", "short=fixed:3"], stderr=self.log)
        for _ in range(600):
            text = pathlib.Path(self.log.name).read_text()
            if "ready after" in text:
                break
            time.sleep(0.1)
        self.url = re.search(r"listening at (http://[0-9.:]+)", text)[1]

    def stop(self):
        self.process.terminate()
        return self.process.wait(60)


class Page:
    def __init__(self, url, pictures):
        options = webdriver.ChromeOptions()
        options.binary_location = shutil.which("chromium")
        for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                     "--force-device-scale-factor=1"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        service = webdriver.ChromeService(executable_path=shutil.which("chromedriver"))
        self.driver = webdriver.Chrome(options=options, service=service)
        self.driver.set_page_load_timeout(60)
        self.url, self.pictures = url, pictures

    def open(self, theme, width=1000, path="/"):
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
            "width": width, "height": 1000, "deviceScaleFactor": 1, "mobile": False})
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {
            "features": [{"name": "prefers-color-scheme", "value": theme}]})
        self.driver.get(self.url + path)
        if path == "/":
            self.wait(lambda: self.all("#curve circle") and self.all("#ranks tr") and self.text("two-message") != "…")
        else:
            self.wait(lambda: len(self.all("#rows tr")) > 10)

    def wait(self, true, seconds=60):
        WebDriverWait(self.driver, seconds, poll_frequency=0.1).until(lambda _: true())

    def all(self, selector):
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def text(self, name):
        return self.driver.find_element(By.ID, name).text

    def ranking(self):
        return self.driver.execute_script(
            "return [...document.querySelectorAll('#ranks tr')].map(r=>[...r.cells].map(c=>c.textContent))")

    def press(self, *keys):
        for key in keys:
            ActionChains(self.driver).send_keys(key).perform()

    def focused(self):
        return self.driver.execute_script(
            "const e=document.activeElement;return e.id||e.textContent.trim()||e.tagName")

    def picture(self, name):
        if self.pictures:
            size = self.driver.execute_cdp_cmd("Page.getLayoutMetrics", {})["cssContentSize"]
            self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
                "width": int(size["width"]), "height": int(size["height"]), "deviceScaleFactor": 1, "mobile": False})
            self.driver.save_screenshot(str(pathlib.Path(self.pictures) / (name + ".png")))


def check_themes(page):
    grounds = {}
    for theme in THEMES:
        page.open(theme)
        grounds[theme] = page.driver.execute_script("return getComputedStyle(document.body).backgroundColor")
        low = [(round(c, 2), text) for c, text in page.driver.execute_script(CONTRASTS) if c < 4.5]
        assert not low, f"{theme}: text of less contrast than 4.5: {low}"
        page.picture(theme)
    assert grounds["light"] != grounds["dark"], grounds
    for theme in THEMES:
        page.open(theme, path="/docs")
        assert "POST /v1/embeddings" in page.driver.find_element(By.ID, "rows").text
        page.picture("docs-" + theme)


def check_curve(page):
    page.open("light")
    curve, = page.all("#curve svg")
    label = curve.get_attribute("aria-label")
    told = re.findall(r"(\d+|final) (-?[\d.]+)", label)
    n_layer = int(re.search(r"(\d+) blocks", page.text("about"))[1])
    assert [layer for layer, _ in told] == [str(i) for i in range(n_layer + 1)] + ["final"], label
    points = page.all("#curve circle")
    assert len(points) == len(told)
    # Higher on the page is more alike, as the label says.
    heights = [float(p.get_attribute("cy")) for p in points]
    values = [float(v) for _, v in told]
    order = sorted(range(len(values)), key=lambda i: values[i])
    assert all(heights[a] >= heights[b] - 0.5 for a, b in zip(order, order[1:])), label
    path = page.all("#curve path.curve")[0].get_attribute("d")
    assert len(re.findall(r"[ML]", path)) == len(points)
    # The policy fixed:3 stops at the fourth of the points.
    stop, = page.all("#curve line.stop")
    assert abs(float(stop.get_attribute("x1")) - float(points[3].get_attribute("cx"))) < 0.5
    assert "short stops at layer 3 and 3" in page.text("exits"), page.text("exits")
    assert f"Similarity {values[0]:.3f} at layer 0" in page.text("two-message"), page.text("two-message")
    tokens = [[t.text for t in p.find_elements(By.CSS_SELECTOR, ".token")] for p in page.all("#tokens p")]
    assert len(tokens) == 2 and "".join(tokens[0]).replace(" ", "") == "Thecatsatonthemat.", tokens


def check_keyboard(page):
    """From the top of the page with Tab alone: every field and button, in the order of the page."""
    page.open("light")
    page.driver.execute_script("document.body.focus()")
    wanted = ["API key", "a", "b", "Compare", "query", "list", "depth", "Rank", "Routes", "OpenAPI", "Metrics"]
    seen = []
    for _ in wanted:
        page.press(Keys.TAB)
        seen.append(page.focused())
        outline = page.driver.execute_script(
            "return parseFloat(getComputedStyle(document.activeElement).outlineWidth)")
        assert outline >= 2, f"{seen[-1]}: nothing shows that it has the focus"
    assert seen == wanted, seen

    # A new text, the button, a new curve; the same text twice is 1 at every layer.
    page.open("light")
    page.driver.execute_script("document.getElementById('a').focus()")
    for text in ("Same words.", "Same words."):
        ActionChains(page.driver).key_down(Keys.CONTROL).send_keys("a").key_up(Keys.CONTROL).perform()
        page.press(text, Keys.TAB)
    assert page.focused() == "Compare"
    page.press(Keys.ENTER)
    page.wait(lambda: "Similarity 1.000 at layer 0, 1.000 at final." == page.text("two-message"))

    # The slider, and a ranking at the layer that it shows.
    page.driver.execute_script("document.getElementById('depth').focus()")
    before, layer = page.ranking(), page.text("layer")
    page.press(Keys.HOME)
    page.wait(lambda: page.text("layer") == "0" and page.ranking() != before)
    zero = page.ranking()
    page.press(Keys.ARROW_RIGHT)
    page.wait(lambda: page.text("layer") == "1" and page.ranking() != zero)
    page.press(Keys.END)
    page.wait(lambda: page.text("layer") == "final")
    assert layer == "3", "it begins at the layer that the model recommends"
    page.wait(lambda: [float(r[0]) for r in page.ranking()] == sorted((float(r[0]) for r in page.ranking()),
                                                                      reverse=True))
    # A query by its Enter.
    page.driver.execute_script("document.getElementById('query').focus()")
    ActionChains(page.driver).key_down(Keys.CONTROL).send_keys("a").key_up(Keys.CONTROL).perform()
    page.press("A compiler turns source into machine code.", Keys.ENTER)
    page.wait(lambda: page.ranking()[0] == ["1.0000", "A compiler turns source into machine code."])


def check_screen_reader(page):
    page.open("light")
    page.driver.execute_script("document.querySelector('details').open=true")
    nodes = page.driver.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    told = [(n["role"]["value"], n.get("name", {}).get("value", "")) for n in nodes if not n.get("ignored")]
    for role in ("textbox", "slider", "button", "img", "image", "link", "table", "heading"):
        nameless = [t for t in told if t[0] == role and not t[1].strip()]
        assert not nameless, nameless
    names = {role: [name for r, name in told if r == role] for role, _ in told}
    assert {"First text", "Second text", "Query", "Sentences, one a line"} <= set(names["textbox"]), names["textbox"]
    assert any(name.startswith("Layer") for name in names["slider"]), names["slider"]
    assert any("Cosine similarity by layer" in name for name in names.get("img", []) + names.get("image", []))
    # Screen readers announce messages when they appear.
    assert len(page.all("[role=status]")) == 2 and names.get("status"), names.keys()
    assert page.driver.execute_script("return document.documentElement.lang") == "en"


def check_errors(page):
    """The page shows what the server refuses."""
    page.open("light")
    page.driver.execute_script("document.getElementById('a').value=''")
    page.all("#two button")[0].click()
    page.wait(lambda: "empty" in page.text("two-message"))
    assert "error" in page.driver.find_element(By.ID, "two-message").get_attribute("class")


def check_narrow(page):
    for theme in THEMES:
        page.open(theme, width=360)
        wide = page.driver.execute_script("return document.documentElement.scrollWidth")
        assert wide <= 360, f"{wide} pixels in a window of 360"
        small = page.driver.execute_script("return [...document.querySelectorAll('#curve text')].map("
                                           "t=>t.getBoundingClientRect().height).filter(h=>h<11)")
        assert not small, f"text of the curve is {small} pixels high"
        page.picture("narrow-" + theme)


def check_network(page):
    """Nothing but this server was asked, and nothing was complained about."""
    import json
    for entry in page.driver.get_log("performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] == "Network.requestWillBeSent":
            url = message["params"]["request"]["url"]
            assert url.startswith((page.url + "/", "data:", "about:", "chrome:")), url
    bad = [e for e in page.driver.get_log("browser")
           if e["level"] == "SEVERE" and "422" not in e["message"] and "favicon" not in e["message"]]
    assert not bad, bad


def main():
    missing = [name for name in ("chromium", "chromedriver") if not shutil.which(name)]
    if missing:
        print(f"no {' and no '.join(missing)}: the page was not checked (Debian: chromium, chromium-driver)")
        return 77
    pictures = sys.argv[1] if len(sys.argv) > 1 else None
    if pictures:
        os.makedirs(pictures, exist_ok=True)
    server = Server()
    page = Page(server.url, pictures)
    failed = False
    for check in (check_themes, check_curve, check_keyboard, check_screen_reader, check_errors, check_narrow,
                  check_network):
        try:
            check(page)
            print(f"{check.__name__[6:]}: as it should be")
        except Exception as e:  # the others are checked all the same
            failed = True
            print(f"{check.__name__[6:]}: FAILED: {type(e).__name__}: {str(e).split('Stacktrace')[0]}")
    page.driver.quit()
    code = server.stop()
    return 1 if failed or code else 0


if __name__ == "__main__":
    sys.exit(main())
