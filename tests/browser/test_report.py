import base64
from itertools import pairwise

import pytest
from selenium.webdriver.support.select import Select

from tests.browser.opened import CONTRASTS, LOAD_ALL, css, fits, layer, quiet
from tests.report.reported import HOSTILE, NAMES, TAGGED, fates
from tests.waiting import until

pytestmark = pytest.mark.browser

OTHERS = ("findings/0.html", "comparisons/1.html")
RECORD = """
window.shown = [];
const [slider, play] = ["layer", "play"].map((id) => document.getElementById(id));
const note = () => shown.push([slider.value, play.getAttribute("aria-pressed")]);
new MutationObserver(note).observe(document.documentElement, { attributeFilter: ["style"] });
"""
"""Keeps every layer that is shown, and whether the layers are playing."""
PAGES = ("index.html", *OTHERS, *(f"classes/{n}.html" for n in range(len(NAMES))))


def column(driver, index):
    return driver.execute_script(
        "return [...document.querySelectorAll('table.classes tbody tr')]"
        ".filter((row) => !row.hidden).map((row) => row.cells[arguments[0]].dataset.value"
        " ?? row.cells[arguments[0]].textContent.trim())",
        index,
    )


@pytest.mark.parametrize("page", PAGES)
def test_page_opens_from_disk_without_complaint_and_asks_nobody(look, page):
    assert quiet(look(page), page)


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
    driver.execute_script(RECORD)
    play = driver.find_element("id", "play")
    play.click()
    until(lambda: play.get_attribute("aria-pressed") == "false")
    steps = [["0", "true"], ["1", "true"], ["2", "true"], ["3", "false"]]
    assert driver.execute_script("return shown") == steps
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
def test_a_picture_without_its_flow_is_a_key_or_a_tap_away(look, run, scripts):
    driver = look(f"rows/{fates(run)['sound']}.html", scripts=scripts)
    peek, flow = (css(driver, f".portrait {name}")[0] for name in (".peek", ".heat"))

    def strength():
        return float(flow.value_of_css_property("opacity"))

    whole = strength()
    assert whole > 0.5
    peek.send_keys(" ")
    assert strength() == 0
    assert peek.accessible_name.endswith("without its flow")
    peek.send_keys(" ")
    assert strength() == whole
    peek.click()
    assert strength() == 0


def test_a_frame_is_chosen_by_keyboard(look):
    driver = look(f"classes/{TAGGED}.html")
    tile = css(driver, ".frames [data-layer='1'] .tile")[0]
    tile.send_keys("\ue007")  # enter
    assert layer(driver) == 1
    css(driver, ".frames [data-layer='2'] .tile")[0].send_keys(" ")
    assert layer(driver) == 2


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
    link = css(driver, ".finding h3 a")[0]
    driver.execute_script("arguments[0].click()", link)
    assert driver.current_url.endswith("findings/0.html")
    assert layer(driver) == 3
    driver.find_element("id", "layer").send_keys("\ue011")  # home
    assert layer(driver) == 0
    css(driver, ".crumbs a")[0].click()
    assert driver.current_url.endswith("index.html#findings")


def test_pages_print_to_pdf_with_their_maps(look):
    driver = look(f"classes/{TAGGED}.html")
    driver.execute_async_script(LOAD_ALL)
    content = base64.b64decode(driver.print_page())
    assert content.startswith(b"%PDF-")
    assert content.count(b"/Subtype /Image") >= 3
