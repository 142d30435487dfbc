import numpy as np

from pipeline.audit.patterns.clustering import Cluster, ClusteredClass
from pipeline.audit.patterns.outliers import OUTLIERS_SCHEMA, find_outliers, outliers_table


def test_an_image_far_outside_is_found():
    rng = np.random.default_rng(0)
    distances = np.append(0.05 * np.exp(0.1 * rng.standard_normal(200)), 0.9)
    own = ClusteredClass(1, 0.5, (Cluster(201, 201, 0),), np.arange(201), distances)
    (found,) = find_outliers([own], ("cat", "dog"))
    assert (found.kind, found.images, found.evidence) == ("outlier", 1, ((200, 0.9),))
    assert (found.value, found.class_name) == (0.9, "dog")
    table = outliers_table([own], ("cat", "dog"))
    assert table.schema.equals(OUTLIERS_SCHEMA)
    assert table["row"][0].as_py() == 200
    assert table["class_name"][0].as_py() == "dog"
