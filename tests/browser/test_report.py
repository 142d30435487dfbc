import base64
import json
from itertools import pairwise

import pytest
from selenium.webdriver.support.select import Select

from tests.report.reported import HOSTILE, NAMES, TAGGED, fates

pytestmark = pytest.mark.browser

OTHERS = ("findings/0.html", "comparisons/1.html")
PAGES = ("index.html", *OTHERS, *(f"classes/{n}.html" for n in range(len(NAMES))))
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
    high, wide, gutter, layers = 6, 8, 1, 4
    top, left, height, width = driver.execute_script(
        "const heat = document.querySelector('.heat');"
        "const inner = heat.getBoundingClientRect();"
        "const outer = heat.parentElement.getBoundingClientRect();"
        "return [(outer.top - inner.top) / outer.height, (outer.left - inner.left) / outer.width,"
        " inner.height / outer.height, inner.width / outer.width];"
    )
    assert left == pytest.approx(gutter / wide, abs=0.01)
    assert width == pytest.approx((wide + 2 * gutter) / wide, abs=0.01)
    assert height == pytest.approx(layers * (high + 2 * gutter) / high, abs=0.03)
    shown = (top * high - gutter) / (high + 2 * gutter)
    assert shown == pytest.approx(round(shown), abs=0.02)
    return round(shown)


def column(driver, index):
    return driver.execute_script(
        "return [...document.querySelectorAll('table.classes tbody tr')]"
        ".filter((row) => !row.hidden).map((row) => row.cells[arguments[0]].dataset.value"
        " ?? row.cells[arguments[0]].textContent.trim())",
        index,
    )


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


@pytest.mark.parametrize("page", PAGES)
def test_page_opens_from_disk_without_complaint_and_asks_nobody(look, page):
    assert bool(quiet(look(page), page)) == ("comparisons" not in page)


@pytest.mark.parametrize("width", [320, 390, 700, 1280])
@pytest.mark.parametrize("page", ["index.html", *OTHERS, *PAGES[3 + TAGGED : 10]])
def test_nothing_is_wider_than_the_screen(look, page, width):
    fits(look(page, width=width), width)


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("page", ["index.html", f"classes/{TAGGED}.html", *OTHERS])
def test_text_can_be_read_by_day_and_by_night(look, page, dark):
    driver = look(page, dark=dark)
    paper = driver.execute_script("return getComputedStyle(document.body).backgroundColor")
    channels = [int(part) for part in paper[4:-1].split(",")]
    assert (max(channels) < 64) if dark else (min(channels) > 192)
    ratio, what = driver.execute_script(CONTRASTS)
    assert ratio >= 4.5, what


def test_slider_and_film_choose_the_layer_of_every_picture(look):
    driver = look(f"classes/{TAGGED}.html")
    assert layer(driver) == 3
    slider = driver.find_element("id", "layer")
    slider.send_keys("\ue012")  # arrow left
    assert layer(driver) == 2
    assert "blocks.2" in driver.find_element("id", "layer-name").text
    assert slider.get_attribute("aria-valuetext") == "blocks.2"
    slider.send_keys("\ue011")  # home
    assert layer(driver) == 0
    css(driver, ".frames [data-layer='1']")[0].click()
    assert layer(driver) == 1
    assert slider.get_property("value") == "1"
    assert [item.get_attribute("data-layer") for item in css(driver, ".now")] == ["1"] * 3


def test_play_goes_on_to_the_last_layer_and_stops(look):
    driver = look(f"classes/{TAGGED}.html")
    play = driver.find_element("id", "play")
    play.click()
    assert layer(driver) == 0
    assert play.get_attribute("aria-pressed") == "true"
    from selenium.webdriver.support.ui import WebDriverWait

    WebDriverWait(driver, 10).until(lambda _: play.get_attribute("aria-pressed") == "false")
    assert layer(driver) == 3


def test_flow_can_be_faded(look):
    driver = look(f"classes/{TAGGED}.html")
    driver.find_element("id", "opacity").send_keys("\ue011")  # home
    heat = driver.execute_script(
        "const heat = document.querySelector('.heat'); heat.style.transition = 'none';"
        "return getComputedStyle(heat).opacity"
    )
    assert float(heat) == 0


@pytest.mark.parametrize("scripts", [True, False])
@pytest.mark.parametrize("page", ["index.html", f"classes/{TAGGED}.html", "findings/0.html"])
def test_a_picture_without_its_flow_is_a_key_or_a_tap_away(look, page, scripts):
    driver = look(page, scripts=scripts)
    first, other = css(driver, ".shot .peek")[:2]
    flow, beside = css(driver, ".shot .heat")[:2]

    def strength(heat):
        return float(heat.value_of_css_property("opacity"))

    whole = strength(flow)
    assert whole > 0.5
    first.send_keys(" ")
    assert first.is_selected()
    assert (strength(flow), strength(beside)) == (0, whole)
    assert first.value_of_css_property("outline-style") == "solid"
    assert first.accessible_name.endswith("without its flow")
    first.send_keys(" ")
    assert strength(flow) == whole
    assert first.rect == pytest.approx(driver.find_element("css selector", ".stack").rect, abs=1)
    other.click()
    assert other.is_selected()
    assert (strength(flow), strength(beside)) == (whole, 0)


@pytest.mark.parametrize("index", [3, 4, 5, 6, 7])
def test_table_sorts_by_numbers_both_ways(look, index):
    driver = look("index.html")
    button = css(driver, "table.classes thead th button")[index - 1]
    button.click()
    once = [float(value) for value in column(driver, index)]
    button.click()
    twice = [float(value) for value in column(driver, index)]
    assert once in (sorted(twice), sorted(twice, reverse=True))
    assert once == sorted(twice, reverse=once != sorted(twice))
    assert once != twice
    assert len(css(driver, "th[aria-sort]")) == 1


def test_table_starts_by_risk_sorts_by_name_and_finds(look):
    driver = look("index.html")
    ranks = [int(rank) for rank in column(driver, 0)]
    assert all(a < b for a, b in pairwise(ranks))
    assert column(driver, 2)[0].startswith(HOSTILE)
    css(driver, "table.classes thead th button")[1].send_keys("\ue007")  # enter
    names = column(driver, 2)
    alphabet = "return [...arguments[0]].sort((a, b) => a.localeCompare(b))"
    assert names == driver.execute_script(alphabet, names)
    assert sorted(column(driver, 0), key=int) != column(driver, 0)
    driver.find_element("id", "find").send_keys("GOLD")
    assert column(driver, 2) == ["goldfish"]
    assert driver.find_element("id", "found").text == f"1 of {len(NAMES)}"


def test_links_lead_to_the_class_and_back(look):
    driver = look("index.html")
    link = css(driver, "#classes tbody th a")[0]
    name = link.text
    driver.execute_script("arguments[0].click()", link)
    assert driver.current_url.endswith(f"classes/{TAGGED}.html")
    assert css(driver, "h1")[0].text == name
    css(driver, "a[rel=next]")[0].click()
    assert css(driver, "a[rel=prev]")[0].text.endswith(name)
    css(driver, ".crumbs a")[0].click()
    assert driver.current_url.endswith("index.html#classes")


def test_hostile_names_are_shown_as_they_are(look):
    driver = look(f"classes/{TAGGED}.html")
    assert css(driver, "h1")[0].text == HOSTILE
    assert driver.title.startswith(HOSTILE)
    assert css(driver, "img[src=x], img[onerror]") == []
    driver = look("classes/3.html")
    assert css(driver, "h1")[0].text == "{{ 7 * 7 }} & {% raw %}"


def test_without_scripts_the_final_layer_is_there_and_no_dead_control(look):
    driver = look(f"classes/{TAGGED}.html", scripts=False)
    assert layer(driver) == 3
    assert not driver.find_element("id", "layer").is_displayed()
    driver = look("index.html", scripts=False)
    assert len(css(driver, "table.classes tbody tr")) == len(NAMES)
    assert css(driver, "thead button") == []
    assert not driver.find_element("id", "find").is_displayed()


def test_keyboard_reaches_the_contents_first(look):
    driver = look("index.html")
    driver.switch_to.active_element.send_keys("\ue004")  # tab
    assert driver.switch_to.active_element.get_attribute("class") == "skip"
    assert driver.switch_to.active_element.rect["x"] >= 0


def test_findings_are_filtered_by_verdict(look):
    driver = look("index.html")
    shown = css(driver, ".finding")
    states = [finding.get_attribute("data-verdict") for finding in shown]
    assert states[0] == "used"
    field = driver.find_element("id", "verdict")
    Select(field).select_by_value("used")
    assert [finding.is_displayed() for finding in shown] == [s == "used" for s in states]
    assert css(driver, ".finding .rank")[0].text == "0"


def test_findings_are_filtered_by_kind_and_severity(look, run):
    driver = look("index.html")
    shown = "return [...document.querySelectorAll('.finding')].filter((f) => !f.hidden).length"
    everything = driver.execute_script(shown)
    assert everything == min(40, len(run.findings()))
    for name in ("kind", "severity"):
        values = run.findings()[name].to_pylist()
        fields = driver.find_elements("id", name)
        assert bool(fields) == (len(set(values)) > 1)
        for field in fields:
            for value in set(values):
                Select(field).select_by_value(value)
                assert driver.execute_script(shown) == values.count(value)
            Select(field).select_by_value("")
    assert driver.execute_script(shown) == everything


def test_a_finding_has_its_own_page_with_a_layer_slider(look):
    driver = look("index.html")
    link = css(driver, ".finding .more a")[0]
    driver.execute_script("arguments[0].click()", link)
    assert driver.current_url.endswith("findings/0.html")
    assert layer(driver) == 3
    driver.find_element("id", "layer").send_keys("\ue011")  # home
    assert layer(driver) == 0
    css(driver, ".crumbs a")[0].click()
    assert driver.current_url.endswith("index.html#findings")


def test_a_row_leads_to_its_page_and_back(look):
    driver = look("findings/0.html")
    link = css(driver, ".shot a")[0]
    name = link.text
    driver.execute_script("arguments[0].click()", link)
    assert css(driver, "h1")[0].text == name.capitalize()
    assert f"/rows/{name.split()[1]}.html" in driver.current_url
    css(driver, ".turn [rel=next]")[0].click()
    assert css(driver, ".turn [rel=prev]")[0].text == f"← {name}"
    css(driver, ".crumbs a")[0].click()
    assert driver.current_url.endswith("findings/0.html#evidence")


@pytest.mark.parametrize("fate", ["quarantined", "massless", "missing", "no image", "sound"])
def test_the_page_of_a_row_is_whole_on_every_screen(look, run, fate):
    page = f"rows/{fates(run)[fate]}.html"
    photos = quiet(look(page), page)
    assert bool(photos) == (fate != "massless" or fates(run)[fate] % 5 > 1)
    for width in (320, 360, 700, 1280):
        fits(look(page, width=width, dark=width == 700), width)
    for dark in (False, True):
        ratio, what = look(page, dark=dark).execute_script(CONTRASTS)
        assert ratio >= 4.5, what


def test_the_page_of_a_row_has_its_film_and_its_slider(look, run):
    driver = look(f"rows/{fates(run)['missing']}.html")
    assert layer(driver) == 3
    css(driver, ".frames [data-layer='1']")[0].click()
    assert layer(driver) == 1
    assert len(css(driver, ".frames .tile[role=img][aria-label]")) == 4
    assert driver.find_element("class name", "measures").is_displayed()
    driver = look(f"rows/{fates(run)['missing']}.html", scripts=False)
    assert layer(driver) == 3
    assert not driver.find_element("id", "layer").is_displayed()
    tiles = [tile.value_of_css_property("background-position") for tile in css(driver, ".tile")]
    assert len(set(tiles)) == 4


def test_a_hostile_name_on_the_page_of_a_row_is_text(look, run):
    first = run.table("audit/evidence.parquet")["row"][0].as_py()
    driver = look(f"rows/{first}.html")
    assert HOSTILE in css(driver, ".portrait dl")[0].text
    assert HOSTILE in css(driver, "#evidence li")[0].text
    assert css(driver, "img[src=x], img[onerror]") == []


def test_pages_print_to_pdf_with_their_maps(look):
    driver = look(f"classes/{TAGGED}.html")
    driver.execute_async_script(LOAD_ALL)
    content = base64.b64decode(driver.print_page())
    assert content.startswith(b"%PDF-")
    assert content.count(b"/Subtype /Image") >= 3
