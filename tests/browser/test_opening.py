from dataclasses import replace

import pytest
from selenium.webdriver.support.ui import Select

from pipeline.report.contents import gather
from pipeline.report.opening.shared import Shared
from pipeline.report.report import _write_class, _write_index
from tests.browser.opened import css
from tests.report.reported import NAMES, TAGGED

pytestmark = pytest.mark.browser

ENTER, SPACE, TAB = "\ue007", " ", "\ue004"


def places(driver):
    return driver.execute_script(
        "return [...document.querySelectorAll('.scatter .point g')]"
        ".map((g) => g.getAttribute('transform'))"
    )


def names(driver):
    return [link.text for link in css(driver, "#classes tbody th a") if link.is_displayed()]


def test_the_first_screen_answers_four_questions(look):
    driver = look("index.html", width=1440)
    said = [item.text for item in css(driver, ".answers dd")]
    assert len(said) == 4
    assert "images are right" in said[0]
    assert "spread evenly" in said[1]
    assert all(item.rect["y"] + item.rect["height"] < 900 for item in css(driver, ".answers dd"))


def test_a_point_is_a_class_by_keyboard_too(look):
    driver = look("index.html")
    field = driver.find_element("id", "measure")
    field.send_keys(TAB)
    point = driver.switch_to.active_element
    assert "point" in point.get_attribute("class")
    assert point.get_attribute("aria-label") in driver.find_element("id", "pointed").text
    name = point.get_attribute("aria-label").split(":")[0]
    point.send_keys(ENTER)
    assert "/classes/" in driver.current_url
    assert css(driver, "h1")[0].text == name


def test_the_measure_is_chosen_and_back_finds_it_again(look):
    driver = look("index.html")
    before = places(driver)
    assert len(before) == len(NAMES)
    Select(driver.find_element("id", "measure")).select_by_value("mass_flow")
    chosen = places(driver)
    assert chosen != before
    assert [text.split()[1] for text in chosen] == [text.split()[1] for text in before]
    assert css(driver, ".scatter .across.title")[0].text.startswith("mass_flow")
    assert "measure=mass_flow" in driver.current_url
    driver.execute_script(
        "document.querySelector('.scatter .point').dispatchEvent("
        "new MouseEvent('click', {bubbles: true, cancelable: true}))"
    )
    assert "/classes/" in driver.current_url
    driver.back()
    assert places(driver) == chosen


def test_without_a_script_points_are_links(look):
    driver = look("index.html", scripts=False)
    hrefs = [point.get_attribute("href") for point in css(driver, ".scatter a.point")]
    assert len(hrefs) == len(NAMES)
    assert not driver.find_element("id", "measure").is_displayed()
    assert css(driver, ".answers dd")[0].is_displayed()


@pytest.mark.parametrize("wanted", ["goldfish", "GOLD", "class_0", "class 0"])
def test_a_class_is_found_by_name_folder_or_number(look, wanted):
    driver = look("index.html")
    driver.find_element("id", "find").send_keys(wanted)
    assert names(driver) == ["goldfish"]


def test_search_sort_and_filter_survive_back(look):
    driver = look("index.html")
    driver.find_element("id", "find").send_keys("e")
    css(driver, "th[data-key=accuracy] button")[0].click()
    Select(driver.find_element("id", "verdict")).select_by_value("used")
    found, left = names(driver), driver.find_element("id", "left").text
    assert 0 < len(found) < len(NAMES)
    driver.execute_script("document.querySelector('#classes tbody tr:not([hidden]) th a').click()")
    assert "/classes/" in driver.current_url
    driver.back()
    assert names(driver) == found
    assert driver.find_element("id", "left").text == left
    assert css(driver, "th[aria-sort]")[0].get_attribute("data-key") == "accuracy"


def test_search_sort_and_filter_need_no_mouse(look):
    driver = look("index.html")
    driver.find_element("id", "find").send_keys("e")
    css(driver, "th[data-key=accuracy] button")[0].send_keys(SPACE)
    driver.find_element("id", "verdict").send_keys("used")
    found, left = names(driver), driver.find_element("id", "left").text
    assert 0 < len(found) < len(NAMES)
    css(driver, "#classes tbody tr:not([hidden]) th a")[0].send_keys(ENTER)
    assert "/classes/" in driver.current_url
    driver.back()
    assert (names(driver), driver.find_element("id", "left").text) == (found, left)
    assert css(driver, "th[aria-sort]")[0].get_attribute("data-key") == "accuracy"


@pytest.fixture
def sharing(run, report):
    """The report of a run with a cell that all classes share; as it was, afterwards."""
    shared = Shared(((0, 0),), (6, 8), len(NAMES), len(NAMES), len(NAMES), 3.5, None)
    volume = replace(gather(run), shared=shared)
    ids = [fact.id for fact in volume.classes]
    pages = [report / "index.html", report / f"classes/{TAGGED}.html"]
    kept = {page: page.read_bytes() for page in pages}
    _write_index(volume)
    _write_class(volume, ids.index(TAGGED))
    yield
    for page, content in kept.items():
        page.write_bytes(content)


def test_what_all_classes_share_is_masked_by_keyboard_on_every_page(look, sharing):
    driver = look("index.html")

    def masks(selector):
        found = css(driver, selector)
        assert found
        return {item.value_of_css_property("mask-image") != "none" for item in found}

    assert masks("#shared .tile.flow") == {False}
    driver.find_element("id", "mask").send_keys(SPACE)
    assert masks("#shared .tile.flow") == {True}
    assert masks("#sure .lens") == {True}
    assert "mask=on" in driver.current_url
    css(driver, f"#classes a[href='classes/{TAGGED}.html']")[-1].send_keys(ENTER)
    assert "/classes/" in driver.current_url
    assert masks(".film .tile.flow") == masks(".shot .lens") == {True}
    driver.find_element("id", "mask").send_keys(SPACE)
    assert masks(".film .tile.flow") == masks(".shot .lens") == {False}
    assert "mask=on" not in driver.current_url
    driver.back()
    assert masks("#shared .tile.flow") == {True}
    assert driver.find_element("id", "mask").is_selected()


def test_confusions_lead_to_the_wrong_images_of_the_class(look):
    driver = look("index.html")
    link = css(driver, ".confusions h3 a")[0]
    driver.execute_script("arguments[0].click()", link)
    assert driver.current_url.endswith("#wrong")
    assert css(driver, "#wrong .shot")


def test_a_card_is_one_sentence_one_picture_and_one_verdict(look):
    driver = look("index.html")
    for card in css(driver, ".finding"):
        assert len(card.find_elements("css selector", "h3")) == 1
        assert len(card.find_elements("css selector", ".stack")) <= 1
        assert len(card.find_elements("css selector", ".verdict")) == 1
    assert css(driver, ".finding .numbers") == []
    driver = look(f"classes/{TAGGED}.html")
    assert css(driver, ".finding h3 a")
