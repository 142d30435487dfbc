import io

import numpy as np
import pytest
import torch
from PIL import Image

from pipeline.flows import render
from pipeline.report.pictures.overlays import (
    GUTTER,
    PHOTO_SIDE,
    draw_overlay,
    draw_pictures,
    heat_film,
    heat_grid,
)
from pipeline.report.pictures.palettes import INFERNO
from pipeline.store import Status, open_run
from tests.atlas.synthetic import synthetic_run
from tests.report.reported import SIZE, drawn_run, pixels


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    run = drawn_run(tmp_path_factory.mktemp("drawn") / "run")
    usable = np.flatnonzero(run.status[:] == Status.OK)
    return run, draw_pictures(run, usable[:40]), usable[:40]


def opened(run, path):
    return Image.open(io.BytesIO(run.read(f"report/{path}")))


def test_photo_is_the_model_input_made_small(drawn):
    run, pictures, rows = drawn
    row = next(int(row) for row in rows if row % 5 > 1)
    photo = opened(run, pictures[row].photo)
    assert photo.size[0] / photo.size[1] == pytest.approx(SIZE[1] / SIZE[0], abs=0.02)
    assert max(photo.size) <= PHOTO_SIDE
    colour = np.asarray(photo.convert("RGB"), int).mean(axis=(0, 1))
    assert np.abs(colour - pixels(row)[0, 0]).max() < 8


def test_what_cannot_be_read_any_more_has_a_reason_and_still_its_flow(drawn):
    _, pictures, rows = drawn
    for row in rows:
        picture = pictures[int(row)]
        assert picture.problem == {0: "missing", 1: "unsupported"}.get(row % 5)
        assert picture.photo == (None if picture.problem else f"assets/rows/{row}.webp")
    assert any(pictures[int(row)].heat for row in rows if row % 5 == 0)


def test_a_film_shows_the_frames_of_the_overlay():
    maps = np.random.default_rng(0).random((5, 6, 8)).astype(np.float32)
    film = heat_film((6, 8), 5, 2)
    sprite = Image.open(io.BytesIO(draw_overlay(maps[None]).content))
    width, height = (float(part.strip("%")) / 100 for part in film.size.split())
    assert sprite.size == (round(width * 8), round(height * 6))
    for layer in range(5):
        place = float(film.position(2 * layer).split()[1].strip("%")) / 100
        top = place * (sprite.size[1] - 6)  # as CSS places what is larger than its box
        assert top == pytest.approx(layer * (6 + 2 * GUTTER) + GUTTER, abs=0.01)


def test_folder_in_place_of_an_image_is_no_crash(tmp_path):
    run = drawn_run(tmp_path / "run")
    path = tmp_path / "run" / run.index().column("uri")[2].as_py()
    path.unlink()
    path.mkdir()
    assert draw_pictures(run, [2])[2].photo is None


def test_quarantined_row_has_no_flow(drawn):
    run, *_ = drawn
    row = int(np.flatnonzero(run.status[:] == Status.QUARANTINED)[0])
    assert draw_pictures(run, [row])[row].heat is None


def test_heat_frames_are_the_rendered_flow_in_transparent_colours():
    maps = np.random.default_rng(0).random((5, 6, 8)).astype(np.float32)
    sprite = np.asarray(Image.open(io.BytesIO(draw_overlay(maps[None]).content)).convert("RGBA"))
    assert sprite.shape == (5 * (6 + 2 * GUTTER), 2 * (8 + 2 * GUTTER), 4)
    sprite = sprite[:, : 8 + 2 * GUTTER]
    frames = render(torch.from_numpy(maps)[None], (6, 8))[0].numpy()
    for frame, shown in zip(frames, np.split(sprite, 5), strict=True):
        inner = shown[GUTTER:-GUTTER, GUTTER:-GUTTER]
        opaque = inner[..., 3] == 255
        assert (opaque == (frame == 255)).all()
        assert (inner[opaque][:, :3] == INFERNO[255]).all()
        assert (inner[frame == 0][:, 3] == 0).all()
        order = np.argsort(frame.ravel())
        assert (np.diff(inner[..., 3].ravel()[order].astype(int)) >= 0).all()
        assert (shown[0, GUTTER:-GUTTER] == inner[0]).all()
        assert (shown[GUTTER:-GUTTER, -1] == inner[:, -1]).all()


@pytest.mark.parametrize(("layers", "cells"), [(12, 56), (600, 25), (2000, 6)])
def test_heat_of_fine_or_many_maps_stays_an_image(layers, cells):
    assert heat_grid((64, 64), layers) == (cells, cells)
    maps = np.tile(np.eye(4, dtype=np.float32), (layers, 1, 1))
    sprite = Image.open(io.BytesIO(draw_overlay(maps[None]).content))
    assert sprite.size == (2 * (4 + 2 * GUTTER), layers * (4 + 2 * GUTTER))
    assert sprite.size[1] <= 16_383


def test_no_mass_no_heat():
    assert draw_overlay(np.zeros((1, 3, 4, 4), np.float32)) is None


def test_order_and_company_do_not_change_the_bytes(drawn, tmp_path):
    run, pictures, rows = drawn
    chosen = [int(row) for row in rows if pictures[int(row)].photo][:3]
    before = {row: run.read(f"report/assets/rows/{row}.webp") for row in chosen}
    again = draw_pictures(open_run(run.uri), reversed(chosen))
    assert again == {row: pictures[row] for row in chosen}
    assert before == {row: run.read(f"report/assets/rows/{row}.webp") for row in chosen}


def test_the_flow_of_the_label_is_drawn_where_the_answer_is_wrong(tmp_path):
    run = synthetic_run(tmp_path, images=8, classes=2, layers=2, label_maps=True)
    rows = [int(row) for row in np.flatnonzero(run.status[:] == Status.OK)][:4]
    pictures = draw_pictures(run, rows, wrong=rows[:1])
    assert [pictures[row].columns for row in rows] == [4, 2, 2, 2]
    sprite = np.asarray(opened(run, pictures[rows[0]].heat).convert("RGBA"))
    answer, label = np.split(sprite, 2, axis=1)
    own, other = np.split(answer, 2, axis=1)[0], np.split(label, 2, axis=1)[0]
    assert (own[..., 3] == other[:, ::-1, 3]).all()  # label maps are the maps seen in a mirror


def test_no_rows_no_pictures(drawn):
    assert draw_pictures(drawn[0], []) == {}
