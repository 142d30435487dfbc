from pipeline.atlas import aggregate
from pipeline.audit.weighting import weights_sentence
from tests.atlas.synthetic import synthetic_run


def test_the_sentence_has_distinct_images_and_the_class_with_most_copies(tmp_path):
    run = synthetic_run(tmp_path, 200, 4, unit_rows=64, hashes=True, copied=(2, 30))
    aggregate(run, workers=1)
    assert weights_sentence(run.atlas()) is None
    aggregate(run, workers=1, weights="commonness")
    atlas = run.atlas()
    sentence = weights_sentence(atlas)
    images = int(atlas.count.sum())
    assert f"{images} images count as {images - 29}.0 distinct ones" in sentence
    square = images - 30 + 1 / 30
    assert f"Kish's effective sample size: {(images - 29) ** 2 / square:.1f})" in sentence
    assert f"“class 2” has {atlas.count[2]} images and {atlas.count[2] - 29}.0" in sentence
