"""A hostile archive, through a whole run and into its report: names are text, bombs are rows."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from pipeline.atlas import aggregate
from pipeline.audit import audit
from pipeline.engine import run_flows
from pipeline.export.fiftyone import export_fiftyone
from pipeline.report import write_report
from pipeline.report.pictures.overlays import draw_pictures
from pipeline.store import Status, open_run
from tests.engine.datasets import small_config, write_images
from tests.images.archives import parquet_of, tar_of
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


def test_damaged_row_groups_end_as_rows_and_are_shown_grey(tmp_path: Path) -> None:
    """One is damaged before the run and quarantined, one after it: the report finds it so."""
    pictures = sorted(write_images(tmp_path / "images", images=24).rglob("*.png"))
    content = [picture.read_bytes() for picture in pictures]
    file = parquet_of(tmp_path / "data/a.parquet", content, [n % 3 for n in range(24)])
    damage(file, group=0)
    config = small_config(
        tmp_path, dataset={"source": str(file.parent)}, limits={"quarantine": 0.2}
    )
    assert run_flows(config).reasons == {"corrupt": 4}
    damage(file, group=1)
    run = open_run(config.run)
    aggregate(run)
    audit(run)
    write_report(run)
    (page,) = Path(config.run, "report").glob("index.html")
    assert "The image data are damaged." in page.read_text()
    pictures_of = draw_pictures(run, range(24))
    assert [row for row, drawn in pictures_of.items() if drawn.problem] == list(range(8))
    assert {drawn.problem for drawn in pictures_of.values()} == {"corrupt", None}
    assert [np.ptp(np.asarray(run.show(row))[:, :32]) == 0 for row in (0, 7, 8)] == [1, 1, 0]
    assert run.status[:].tolist() == [Status.QUARANTINED] * 4 + [Status.OK] * 20
    assert export_fiftyone(run, tmp_path / "exported", 24) == 16


def damage(path: Path, group: int) -> None:
    """Overwrite the beginning of a row group's images."""
    content = bytearray(path.read_bytes())
    with pq.ParquetFile(path) as file:
        chunk = file.metadata.row_group(group).column(0)
    start = chunk.dictionary_page_offset or chunk.data_page_offset
    content[start : start + 400] = bytes(400)
    path.write_bytes(content)
