import subprocess
import sys

import pytest

from pipeline.report.contents import MOST_SHOWN, SHOWN, of_a_class


@pytest.mark.parametrize(("classes", "images"), [(0, 6), (29, 6), (500, 6), (1000, 3), (10**5, 2)])
def test_of_many_classes_fewer_images_are_shown(classes: int, images: int) -> None:
    assert of_a_class(classes) == images <= SHOWN
    assert images == 2 or 3 * classes * images <= MOST_SHOWN


def test_a_report_does_not_wait_for_models() -> None:
    code = "import sys, pipeline.report.report; print({'timm', 'torchvision'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
