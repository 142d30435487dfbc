"""Spectral analysis of a set of maps: neighbour graph, normalised Laplacian, eigengap, clusters.

SpRAy (Lapuschkin et al. 2019) on flows, with a sparse graph and only the smallest eigenvalues,
so that nothing of size n × n is formed.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.vq import kmeans2
from scipy.sparse import coo_array, csr_array, diags_array
from scipy.sparse.linalg import eigsh
from scipy.spatial import KDTree

Float = NDArray[np.float64]

_SEED = 0


@dataclass(frozen=True)
class Spectrum:
    """The spectral embedding of n points.

    ``values`` (k,) are the smallest eigenvalues of the normalised Laplacian, ascending, in
    [0, 2]; ``vectors`` (n, k) their eigenvectors; ``labels`` (n,) the cluster of each point,
    0 … ``clusters`` − 1, the largest cluster first.
    """

    values: Float
    vectors: Float
    clusters: int
    labels: NDArray[np.int64]


def spectrum(maps: Float, neighbours: int = 10, most: int = 8) -> Spectrum:
    """Embed and cluster maps.

    Parameters
    ----------
    maps : (n, cells)
        Non-negative; each is normalised to sum 1. Their distance is that of Hellinger, so a cell
        counts by how much its share differs, not by how large it is.
    neighbours : int
        Edges of a point in the graph (fewer if there are fewer points).
    most : int
        Eigenpairs, and most clusters.

    Returns
    -------
    Spectrum
        The number of clusters is where the gap between consecutive eigenvalues is largest; with
        fewer than four points, or maps that are all the same, there is one cluster.
    """
    count = len(maps)
    mass = maps.sum(axis=1, keepdims=True)
    points = np.sqrt(np.divide(maps, mass, out=np.zeros(maps.shape), where=mass > 0))
    if count < 4 or np.ptp(points, axis=0).max(initial=0.0) == 0:
        return Spectrum(np.zeros(1), np.ones((count, 1)), 1, np.zeros(count, np.int64))
    values, vectors = _smallest(_graph(points, min(neighbours, count - 1)), min(most, count - 2))
    gaps = np.diff(values)
    clusters = int(gaps.argmax()) + 1 if len(gaps) else 1
    return Spectrum(values, vectors, clusters, _labels(vectors, clusters))


def _graph(points: Float, neighbours: int) -> csr_array:
    """Return the symmetric graph of nearest neighbours, weight ½ or 1 where both choose."""
    _, near = KDTree(points).query(points, k=neighbours + 1)
    source = np.repeat(np.arange(len(points)), neighbours + 1)
    chosen = near.reshape(-1)
    other = source != chosen  # duplicates may be found before the point itself
    edges = (source[other], chosen[other])
    graph = coo_array((np.ones(int(other.sum())), edges), shape=(len(points),) * 2).tocsr()
    return csr_array((graph + graph.T) / 2)


def _smallest(graph: csr_array, count: int) -> tuple[Float, Float]:
    """Return the smallest eigenpairs of I − D^-½ W D^-½, as the largest of its complement."""
    root = diags_array(1 / np.sqrt(graph.sum(axis=1)))
    start = np.random.default_rng(_SEED).random(graph.shape[0])
    large, vectors = eigsh(root @ graph @ root, k=count, which="LA", v0=start)
    order = np.argsort(-large)
    return np.clip(1 - large[order], 0, 2), vectors[:, order]


def _labels(vectors: Float, clusters: int) -> NDArray[np.int64]:
    if clusters == 1:
        return np.zeros(len(vectors), np.int64)
    rows = vectors[:, :clusters]
    rows = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    _, found = kmeans2(rows, clusters, minit="++", seed=_SEED, iter=50)
    sizes = np.bincount(found, minlength=clusters)
    rank = np.empty(clusters, np.int64)
    rank[np.argsort(-sizes, kind="stable")] = np.arange(clusters)
    return np.asarray(rank[found])
