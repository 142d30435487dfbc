"""The measures of one map, one image at a time, in float64 with numpy and scipy alone."""

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import jensenshannon
from scipy.stats import entropy

Array = NDArray[np.float64]


def probability(grid_map: Array) -> Array:
    values = np.asarray(grid_map, np.float64)
    return values / values.sum()


def relative_entropy(p: Array) -> float:
    return float(entropy(p.ravel()) / np.log(p.size)) if p.size > 1 else 0.0


def gini(p: Array) -> float:
    """Half the relative mean absolute difference of all pairs of cells."""
    cells = p.ravel()
    return float(np.abs(cells[:, None] - cells[None]).mean() / (2 * cells.mean()))


def area90(p: Array, share: float = 0.9) -> float:
    held, cells = 0.0, 0
    for value in sorted(p.ravel(), reverse=True):
        held += value
        cells += 1
        if held >= share * p.sum():
            break
    return cells / p.size


def moments(p: Array) -> dict[str, float]:
    """Covariance by a loop over cells; the eigenvalues by LAPACK."""
    height, width = p.shape
    places = np.array(
        [((i + 0.5) / height, (j + 0.5) / width) for i in range(height) for j in range(width)]
    )
    mean = (p.ravel()[:, None] * places).sum(0)
    away = places - mean
    covariance = sum(
        mass * np.outer(step, step) for mass, step in zip(p.ravel(), away, strict=True)
    )
    within = np.diag([1 / (12 * height**2), 1 / (12 * width**2)])
    small, large = np.linalg.eigvalsh(covariance + within)
    return {
        "centroid_y": mean[0],
        "centroid_x": mean[1],
        "spread": np.trace(covariance),
        "anisotropy": large / small,
    }


def lifts(p: Array, fine: int = 4) -> dict[str, float]:
    """Cut every cell into fine × fine pixels: quarters of the side are whole pixels then."""
    height, width = p.shape
    pixels = np.kron(p / fine**2, np.ones((fine, fine)))
    quarter_y, quarter_x = height * fine // 4, width * fine // 4
    masks = {
        name: np.zeros_like(pixels)
        for name in ("centre", "corner_tl", "corner_tr", "corner_bl", "corner_br")
    }
    masks["centre"][quarter_y : 3 * quarter_y, quarter_x : 3 * quarter_x] = 1
    masks["corner_tl"][:quarter_y, :quarter_x] = 1
    masks["corner_tr"][:quarter_y, -quarter_x:] = 1
    masks["corner_bl"][-quarter_y:, :quarter_x] = 1
    masks["corner_br"][-quarter_y:, -quarter_x:] = 1
    ring = np.array(
        [[i in (0, height - 1) or j in (0, width - 1) for j in range(width)] for i in range(height)]
    )
    found = {name: (pixels * mask).sum() / mask.mean() for name, mask in masks.items()}
    return found | {"border": (p * ring).sum() / ring.mean()}


def divergences(maps: Array) -> Array:
    """Squared Jensen–Shannon distance in bits of every accumulated map to the last."""
    flow = np.cumsum(np.asarray(maps, np.float64), 0).reshape(len(maps), -1)
    return np.array([jensen_shannon(step, flow[-1]) for step in flow])


def jensen_shannon(one: Array, other: Array) -> float:
    """Squared Jensen–Shannon distance in bits of two maps; NaN where one of them is zero."""
    if not one.any() or not other.any():
        return np.nan
    return float(jensenshannon(one.ravel(), other.ravel(), base=2) ** 2)


def convergence_depth(bits: Array) -> int:
    late = [b for b, value in enumerate(bits) if not value <= 0.05]
    return late[-1] + 1 if late else 0


def coverage(boxes: Array, grid: tuple[int, int], fine: int) -> Array:
    """Paint the boxes, given in whole pixels of a raster of fine × fine per cell."""
    raster = np.zeros((grid[0] * fine, grid[1] * fine))
    for x0, y0, x1, y1 in boxes.astype(int):
        raster[y0:y1, x0:x1] = 1
    return raster.reshape(grid[0], fine, grid[1], fine).mean((1, 3))
