"""A hostile archive, through a whole run and into its report: names are text, bombs are rows."""

import json
from pathlib import Path

from pipeline.atlas import aggregate
from pipeline.audit import audit
from pipeline.engine import run_flows
from pipeline.report import write_report
from pipeline.store import open_run
from tests.engine.datasets import small_config, write_images
from tests.images.archives import tar_of
from tests.images.gallery import png

MARKUP = "<img src=x onerror=alert(1)>"
NAMES = [
    "../../../escaped.png",
    "/absolute.png",
    f"{MARKUP}.png",
    "\x1b[2J\x07bell.png",
    "caf\udce9.png",
    "{{ 7 * 7 }}.png",
    "a\u202egnp.png",
]


def outside(folder: Path) -> set[Path]:
    """Return all files around a run, those above its folder included."""
    return {path for path in folder.parent.rglob("*") if "run" not in path.parts}


def test_names_end_as_text_and_a_bomb_as_a_row(tmp_path: Path) -> None:
    pictures = sorted(write_images(tmp_path / "images", images=24).rglob("*.png"))
    members = []
    for number, picture in enumerate(pictures):
        name = f"{number:03d}/" * (number >= len(NAMES)) + NAMES[number % len(NAMES)]
        members.append((name, picture.read_bytes()))
        label = name.replace(".png", ".json")
        members.append((label, json.dumps({"label": number % 3}).encode()))
    members.append(("zz.png", png(30_000, 30_000, b"\0" * 1000)))
    tar_of(tmp_path / "tars/evil.tar", members)
    (tmp_path / "classes.json").write_text(json.dumps([MARKUP, "../../up", "\ud800half"]))
    before = outside(tmp_path)
    config = small_config(
        tmp_path,
        dataset={"source": str(tmp_path / "tars"), "classes": str(tmp_path / "classes.json")},
        limits={"quarantine": 0.2},
    )
    assert run_flows(config).reasons == {"bomb": 1}
    run = open_run(config.run)
    aggregate(run)
    audit(run)
    write_report(run)
    assert run.index()["uri"][:5].to_pylist() == [
        *(f"evil.tar#{name}" for name in NAMES[:4]),
        "evil.tar#caf\\xe9.png",
    ]
    assert outside(tmp_path) - before == {tmp_path / "model.safetensors"}
    pages = [path.read_text() for path in Path(config.run, "report").rglob("*.html")]
    assert len(pages) > 3
    assert not [page for page in pages if MARKUP in page]
    assert any("&lt;img src=x" in page for page in pages)
