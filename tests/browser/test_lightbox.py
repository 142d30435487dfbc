import base64
import json
from pathlib import Path

import pytest
from selenium.webdriver.support.ui import Select

from tests.browser.opened import CONTRASTS, css
from tests.report.reported import NAMES, TAGGED

pytestmark = pytest.mark.browser

ENTER, ESCAPE, TAB, LEFT, RIGHT, HOME = "\ue007", "\ue00c", "\ue004", "\ue012", "\ue014", "\ue011"
PAGE = f"classes/{TAGGED}.html"


def box(driver):
    return driver.find_element("id", "lightbox")


def shown(driver):
    return int(css(driver, "#lightbox .about a[href*='rows/']")[0].text.split()[1])


def rows(driver):
    return [json.loads(link.get_attribute("data-row"))["row"] for link in css(driver, "a.open")]


def test_a_picture_opens_by_keyboard_turns_and_closes_where_it_was(look):
    driver = look(PAGE)
    first = css(driver, "a.open")[0]
    order = rows(driver)
    first.send_keys(ENTER)
    assert box(driver).is_displayed()
    assert shown(driver) == order[0]
    driver.switch_to.active_element.send_keys(RIGHT)
    assert shown(driver) == order[1]
    driver.switch_to.active_element.send_keys(LEFT)
    driver.switch_to.active_element.send_keys(LEFT)
    assert shown(driver) == order[-1]
    driver.switch_to.active_element.send_keys(ESCAPE)
    assert not box(driver).is_displayed()
    focused = driver.switch_to.active_element
    assert json.loads(focused.get_attribute("data-row"))["row"] == order[-1]


def test_the_focus_stays_inside(look):
    driver = look(PAGE)
    css(driver, "a.open")[0].send_keys(ENTER)
    inside = "return !document.activeElement || document.activeElement === document.body ||"
    inside += " !!document.activeElement.closest('#lightbox')"
    for _ in range(25):
        driver.switch_to.active_element.send_keys(TAB)
        assert driver.execute_script(inside)
    css(driver, "[data-close]")[0].click()
    assert not box(driver).is_displayed()


def test_layer_view_strength_and_threshold_change_the_picture(look):
    driver = look(PAGE)
    driver.execute_script(
        "[...document.querySelectorAll('a.open')]"
        ".find((a) => JSON.parse(a.dataset.row).heat).click()"
    )

    def place():
        heat = css(driver, "#lightbox .heat")[0]
        return tuple(round(heat.rect[side]) for side in ("x", "y"))

    def style(name):
        return css(driver, "#lightbox .lens")[0].value_of_css_property(name)

    before, legend = place(), css(driver, "#lightbox .scale")[0].text
    assert "× uniform" in legend
    layer = css(driver, "[data-in=layer]")[0]
    layer.send_keys(HOME)
    assert css(driver, "[data-out=layer]")[0].text.startswith("0 · blocks.0")
    first = place()
    assert (first[0], first[1] > before[1]) == (before[0], True)
    Select(css(driver, "[data-in=view]")[0]).select_by_value("1")
    assert place()[0] < first[0]
    css(driver, "[data-in=strength]")[0].send_keys(HOME)
    assert float(style("opacity")) == 0
    assert style("filter") == "none"
    for mode in ("cut", "outline"):
        Select(css(driver, "[data-in=mode]")[0]).select_by_value(mode)
        assert f"#{mode}" in style("filter")
    threshold = css(driver, "[data-in=threshold]")[0]
    cut = css(driver, "#lightbox feFuncA")[0].get_attribute("intercept")
    threshold.send_keys(LEFT)
    assert float(css(driver, "#lightbox feFuncA")[0].get_attribute("intercept")) > float(cut)


def test_it_says_what_is_known_of_the_image_and_where_to_go(look):
    driver = look("findings/0.html")
    css(driver, "a.open")[0].send_keys(ENTER)
    about = css(driver, "#lightbox .about")[0]
    details = json.loads(css(driver, "a.open")[0].get_attribute("data-row"))
    assert details["uri"] in about.text
    assert len(css(driver, "#lightbox .about tbody tr")) == len(details["measures"])
    hrefs = [link.get_attribute("href") for link in about.find_elements("tag name", "a")]
    wanted = ("findings/0.html", f"classes/{TAGGED}.html", f"rows/{details['row']}.html")
    assert all(any(href.endswith(page) for href in hrefs) for page in wanted)
    assert len(css(driver, "#lightbox .near a")) == len(details["near"])
    here = set(rows(driver))
    other = next(each for each in details["near"] if each in here)
    css(driver, f"#lightbox [data-near='{other}']")[0].click()
    assert shown(driver) == other


def test_without_a_script_a_picture_leads_to_its_page(look):
    driver = look(PAGE, scripts=False)
    link = css(driver, "a.open")[0]
    number = json.loads(link.get_attribute("data-row"))["row"]
    link.send_keys(ENTER)
    assert driver.current_url.endswith(f"rows/{number}.html")


@pytest.mark.parametrize("width", [320, 360, 800, 1440])
@pytest.mark.parametrize("dark", [False, True])
def test_it_fits_and_can_be_read(look, width, dark):
    driver = look(PAGE, width=width, dark=dark)
    css(driver, "a.open")[0].send_keys(ENTER)
    wide = "const b = document.getElementById('lightbox'); return [b.scrollWidth, b.clientWidth]"
    scroll, client = driver.execute_script(wide)
    assert scroll <= client
    ratio, what = driver.execute_script(CONTRASTS.replace('"body *"', '"#lightbox *"'))
    assert ratio >= 4.5, what


def test_one_file_has_its_pictures_and_its_light_box(look, run, chromium):
    from pipeline.report.single_file import write_single_file

    look("index.html")
    chromium.get((Path(run.uri) / write_single_file(run)).as_uri())
    css(chromium, "a.open")[0].send_keys(ENTER)
    assert box(chromium).is_displayed()
    loaded = (
        "const done = arguments[0]; Promise.all([...document.querySelectorAll('#lightbox .stack "
        "img')].map((i) => i.decode().then(() => i.naturalWidth, () => 0))).then(done)"
    )
    assert min(chromium.execute_async_script(loaded), default=1) > 0
    messages = [entry["message"] for entry in chromium.get_log("browser")]
    assert not [text for text in messages if "Content Security Policy" in text], messages
    driver = chromium
    driver.switch_to.active_element.send_keys(ESCAPE)
    driver.get(driver.current_url.partition("#")[0] + f"#page-classes-{TAGGED}")
    tile = css(driver, f"#page-classes-{TAGGED} .film .tile")[0]
    assert "data:image/webp" in tile.value_of_css_property("background-image")


def test_the_whole_prints_as_one_pdf(look, run, chromium):
    from pipeline.report.single_file import write_single_file

    look("index.html")
    chromium.get((Path(run.uri) / write_single_file(run)).as_uri())
    content = base64.b64decode(chromium.print_page())
    assert content.startswith(b"%PDF-")
    assert content.count(b"/Type /Page\n") > len(NAMES)
    assert content.count(b"/Subtype /Image") > len(NAMES)
