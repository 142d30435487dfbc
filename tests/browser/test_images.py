from urllib.parse import parse_qs, urlparse

import pytest
from selenium.webdriver.support.ui import Select, WebDriverWait

from pipeline.nouns import counted
from pipeline.store import Status
from tests.browser.opened import css, fits
from tests.report.reported import NAMES, fates
from tests.waiting import TIMEOUT

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def table(run):
    return run.summary().to_table().to_pandas().sort_values("row").set_index("row")


def count(driver, wanted):
    """Wait for the number of images that pass."""
    text = f"{counted(wanted, 'image')};" if wanted else "No image"
    place = driver.find_element("id", "f-count")
    WebDriverWait(driver, TIMEOUT).until(lambda _: place.text.startswith(text), place.text)


def listed(driver):
    """Return the rows that are listed, all at one moment."""
    script = (
        "return [...document.querySelectorAll('.listed tbody th')].map((th) => +th.textContent)"
    )
    return driver.execute_script(script)


def test_every_image_is_listed_and_pages_turn(look, run):
    driver = look("images.html")
    count(driver, run.spec.rows)
    assert listed(driver) == list(range(50))
    driver.find_element("id", "f-after").send_keys("\ue007")  # enter
    WebDriverWait(driver, TIMEOUT).until(lambda _: listed(driver)[0] == 50)
    driver.find_element("id", "f-before").click()
    WebDriverWait(driver, TIMEOUT).until(lambda _: listed(driver)[0] == 0)
    for width in (320, 360, 800, 1440):
        fits(driver if width == 1280 else look("images.html", width=width), width)


def test_what_passes_is_what_the_summary_says(look, run, table):
    driver = look("images.html")
    used = table[table.status == Status.OK]
    Select(driver.find_element("id", "f-right")).select_by_value("wrong")
    wrong = used[used.label != used.pred]
    count(driver, len(wrong))
    driver.find_element("id", "f-label").send_keys("goldfish")
    wrong = wrong[wrong.label == 0]
    count(driver, len(wrong))
    low = float(wrong.confidence.median())
    driver.find_element("id", "f-low").send_keys(repr(low))
    chosen = wrong[wrong.confidence >= low]
    count(driver, len(chosen))
    Select(driver.find_element("id", "f-order")).select_by_value("down")
    expected = chosen.sort_values("confidence", ascending=False, kind="stable").index.tolist()
    WebDriverWait(driver, TIMEOUT).until(lambda _: listed(driver) == expected[:50])
    asked = parse_qs(urlparse(driver.current_url).query)
    assert (asked["right"], asked["label"], asked["order"]) == (["wrong"], ["goldfish"], ["down"])
    driver.get(driver.current_url)
    count(driver, len(chosen))
    assert listed(driver) == expected[:50]


def test_a_file_is_found_by_its_name_and_what_is_quarantined_by_its_fate(look, run, table):
    driver = look("images.html")
    driver.find_element("id", "f-uri").send_keys("00000123")
    count(driver, 1)
    assert listed(driver) == [123]
    driver = look("images.html")
    Select(driver.find_element("id", "f-right")).select_by_value("none")
    count(driver, int((table.status != Status.OK).sum()))


def test_any_row_can_be_looked_at(look, run, table):
    row = fates(run)["sound"]
    driver = look("images.html")
    driver.find_element("id", "f-row").send_keys(str(row))
    count(driver, 1)
    css(driver, ".listed tbody button")[0].send_keys("\ue007")  # enter
    one = driver.find_element("id", "f-one")
    WebDriverWait(driver, TIMEOUT).until(lambda _: one.is_displayed())
    wide = "return document.querySelector('#f-one img')?.naturalWidth"
    WebDriverWait(driver, TIMEOUT).until(lambda _: driver.execute_script(wide) == 160)
    assert run.index()["uri"][row].as_py() in one.text
    assert f"{table.mass_flow[row]:.3g}" in one.text
    levels = driver.execute_script(
        "const c = document.querySelector('#f-one canvas');"
        "return [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data]"
    )[3::4]
    flow = run.atlas().pooled(row, row + 1)[0].ravel()
    assert levels.index(max(levels)) == int(flow.argmax())
    assert max(levels) == 255


def test_a_missing_image_is_said_and_hostile_names_are_text(look, run):
    row = next(r for r in range(0, run.spec.rows, 5) if run.index()["label"][r].as_py() == 1)
    driver = look(f"images.html?one={row}")
    one = driver.find_element("id", "f-one")
    WebDriverWait(driver, TIMEOUT).until(lambda _: "not at its place" in one.text)
    assert NAMES[1] in one.text
    assert css(driver, "img[src=x]") == []


def test_without_a_script_the_page_says_where_to_go(look):
    driver = look("images.html", scripts=False)
    assert css(driver, "noscript a")[0].is_displayed()
    assert not driver.find_element("id", "f-label").is_displayed()
