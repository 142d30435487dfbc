import pytest

from tests.browser.opened import CONTRASTS, css, fits, layer, quiet
from tests.report.reported import HOSTILE, fates

pytestmark = pytest.mark.browser


def test_a_row_leads_to_its_page_and_back(look):
    driver = look("findings/0.html")
    link = css(driver, ".shot figcaption a")[0]
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
    assert len(css(driver, ".frames .tile[role=button][aria-label]")) == 8
    assert driver.find_element("class name", "measures").is_displayed()
    driver = look(f"rows/{fates(run)['missing']}.html", scripts=False)
    assert layer(driver) == 3
    assert not driver.find_element("id", "layer").is_displayed()
    tiles = [tile.value_of_css_property("background-position") for tile in css(driver, ".tile")]
    assert len(set(tiles)) == 8


def test_a_hostile_name_on_the_page_of_a_row_is_text(look, run):
    first = run.table("audit/evidence.parquet")["row"][0].as_py()
    driver = look(f"rows/{first}.html")
    assert HOSTILE in css(driver, ".portrait dl")[0].text
    assert HOSTILE in css(driver, "#evidence li")[0].text
    assert css(driver, "img[src=x], img[onerror]") == []
