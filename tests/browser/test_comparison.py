import pytest

from tests.browser.opened import css, fits, quiet

pytestmark = pytest.mark.browser

PAGE = "comparisons/1.html"


def test_an_image_that_differs_opens_by_keyboard(look):
    driver = look(PAGE)
    quiet(driver, PAGE)
    link = css(driver, ".apart a.open")[0]
    link.send_keys("\ue007")  # enter
    assert driver.find_element("id", "lightbox").is_displayed()
    driver.switch_to.active_element.send_keys("\ue00c")  # escape
    assert driver.switch_to.active_element == link
    for width in (320, 800, 1440):
        fits(look(PAGE, width=width), width)
