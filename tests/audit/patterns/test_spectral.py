import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.sparse.csgraph import laplacian

from pipeline.audit.patterns.spectral import _graph, spectrum


def blobs(sizes, cells=25, noise=0.02):
    """Maps that look at one of several places, and which place it is."""
    random = np.random.default_rng(3)
    maps, truth = [], []
    for number, size in enumerate(sizes):
        place = np.full(cells, 0.01)
        place[number * 5 : number * 5 + 4] = 1.0
        maps.append(place + noise * random.random((size, cells)))
        truth += [number] * size
    return np.concatenate(maps), np.array(truth)


@pytest.mark.parametrize("sizes", [(60, 25), (50, 30, 20)])
def test_images_that_look_elsewhere_are_a_cluster_of_their_own(sizes):
    maps, truth = blobs(sizes)
    found = spectrum(maps)
    assert found.clusters == len(sizes)
    assert (found.labels == truth).all()  # clusters are numbered by size
    assert found.values[: len(sizes)] == pytest.approx(0, abs=1e-9)


def test_scale_of_a_map_does_not_matter():
    maps, _ = blobs((40, 20))
    scaled = maps * np.random.default_rng(0).uniform(1e-6, 1e6, (len(maps), 1))
    np.testing.assert_array_equal(spectrum(maps).labels, spectrum(scaled).labels)


def test_eigenpairs_are_those_of_the_dense_laplacian():
    maps = np.random.default_rng(1).random((40, 9))
    found = spectrum(maps, neighbours=6)
    points = np.sqrt(maps / maps.sum(axis=1, keepdims=True))
    dense = laplacian(_graph(points, 6).toarray(), normed=True)
    values, vectors = np.linalg.eigh(dense)
    np.testing.assert_allclose(found.values, values[:8], atol=1e-8)
    np.testing.assert_allclose(dense @ found.vectors, found.vectors * found.values, atol=1e-7)
    assert np.abs(vectors[:, :1].T @ found.vectors[:, :1]).item() == pytest.approx(1)


@given(
    arrays(
        np.float64,
        st.tuples(st.integers(0, 12), st.integers(1, 5)),
        elements=st.floats(0, 1e6, width=32),
    )
)
def test_any_maps_get_labels(maps):
    found = spectrum(maps)
    assert found.labels.shape == (len(maps),)
    assert 1 <= found.clusters <= 8
    assert np.isfinite(found.vectors).all()
    sizes = np.bincount(found.labels, minlength=found.clusters)
    assert (np.diff(sizes) <= 0).all()
