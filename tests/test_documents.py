"""The documents' links and files exist, and their examples run as printed."""

import re
from pathlib import Path

import pytest
import torch

from pipeline.flows.flow import Method
from tests.flows.reference import small

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = [*ROOT.glob("*.md"), *ROOT.glob("pipeline/**/*.md"), *ROOT.glob("infra/*.md")]
EXAMPLES = dict(
    re.findall(
        r"^<!-- example: (\w+) -->\n```python\n(.*?)^```",
        (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"),
        re.M | re.S,
    )
)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_somewhere(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    links = [link.partition("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text)]
    local = [link for link in links if link and "://" not in link]
    assert [link for link in local if not (document.parent / link).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_module_that_is_named_exists(document: Path) -> None:
    names = re.findall(r"`([\w/]+\.py)\b", document.read_text(encoding="utf-8"))
    places = (document.parent, ROOT, ROOT / "pipeline", document.parent / "methods")
    rooms = [path for path in document.parent.rglob("*") if path.is_dir()]
    missing = [name for name in names if not any((p / name).exists() for p in (*places, *rooms))]
    assert missing == []


def example(name: str) -> dict[str, object]:
    space: dict[str, object] = {}
    exec(compile(EXAMPLES[name], f"CONTRIBUTING.md: {name}", "exec"), space)
    return space


def test_the_method_that_is_shown_explains_a_model() -> None:
    model = small()
    method = example("method")["AbsoluteGradient"]
    assert callable(method)
    flow: Method
    with method(model) as flow:
        result = flow(torch.randn(2, 3, 24, 40))
    assert (result.maps >= 0).all()
    assert len(result.layers) == result.maps.shape[1] == len(model.blocks)


def test_the_measures_that_are_shown_keep_their_range() -> None:
    shown = example("measure")
    peak, collision = shown["peak"], shown["collision"]
    assert callable(peak)
    assert callable(collision)
    uniform, single = torch.full((1, 8), 1 / 8), torch.eye(8)[:1]
    assert (peak(uniform), peak(single)) == (1, 8)
    assert (collision(uniform), collision(single)) == (1 / 8, 1)
