"""What is asked of a page that a browser has opened."""

import json

import pytest

LOAD_ALL = """
const done = arguments[0];
const images = [...document.images];
for (const image of images) image.loading = "eager";
Promise.all(images.map((image) => image.decode().then(() => image.naturalWidth, () => 0)))
  .then(done);
"""
CONTRASTS = """
const channel = (value) => {
  const share = value / 255;
  return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
};
const luminance = ([r, g, b]) =>
  0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
const parse = (colour) => colour.match(/[\\d.]+/g).map(Number);
const behind = (element) => {
  for (let at = element; at; at = at.parentElement) {
    const colour = parse(getComputedStyle(at).backgroundColor);
    if (colour.length === 3 || colour[3] === 1) return colour;
  }
  return [255, 255, 255];
};
const worst = [];
for (const element of document.querySelectorAll("body *")) {
  const own = [...element.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
  if (!own || !element.getClientRects().length) continue;
  if (element.closest(".hidden, .skip, .gone")) continue;
  const style = getComputedStyle(element);
  const colour = element.namespaceURI.endsWith("svg") ? style.fill : style.color;
  const [a, b] = [luminance(parse(colour)), luminance(behind(element))].sort((x, y) => y - x);
  worst.push([(a + 0.05) / (b + 0.05), element.className || element.tagName]);
}
return worst.sort((x, y) => x[0] - y[0])[0];
"""


def css(driver, selector):
    return driver.find_elements("css selector", selector)


def layer(driver):
    """Return which frame of the first overlay lies over its picture, and that it fits exactly."""
    high, wide, gutter, layers, columns = 6, 8, 1, 4, 2
    top, left, height, width = driver.execute_script(
        "const heat = document.querySelector('.heat');"
        "const inner = heat.getBoundingClientRect();"
        "const outer = heat.closest('.stack').getBoundingClientRect();"
        "return [(outer.top - inner.top) / outer.height, (outer.left - inner.left) / outer.width,"
        " inner.height / outer.height, inner.width / outer.width];"
    )
    assert left == pytest.approx(gutter / wide, abs=0.01)
    assert width == pytest.approx(columns * (wide + 2 * gutter) / wide, abs=0.01)
    assert height == pytest.approx(layers * (high + 2 * gutter) / high, abs=0.03)
    shown = (top * high - gutter) / (high + 2 * gutter)
    assert shown == pytest.approx(round(shown), abs=0.02)
    return round(shown)


def quiet(driver, page):
    """Load all pictures of an open page, which must not fail or ask anybody; return their sizes."""
    sizes = driver.execute_async_script(LOAD_ALL)
    assert min(sizes, default=1) > 0
    messages = [entry for entry in driver.get_log("browser") if entry["level"] != "DEBUG"]
    assert messages == []
    events = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    asked = [
        event["params"]["request"]["url"]
        for event in events
        if event["method"] == "Network.requestWillBeSent"
    ]
    assert any(url.endswith(page) for url in asked)
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    return sizes


def fits(driver, width):
    """Check that an open page is not wider than the screen."""
    shown, needed = driver.execute_script(
        "return [innerWidth, document.documentElement.scrollWidth]"
    )
    assert shown == width
    assert needed <= width
