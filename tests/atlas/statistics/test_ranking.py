import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.atlas.statistics.ranking import merge, ranked

images = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5)), max_size=20)


def of(items, first=0):
    classes, keys = (np.array([item[i] for item in items], np.int64) for i in (0, 1))
    rows = np.arange(first, first + len(items))
    return ranked(classes, keys, rows, rows[:, None].astype(np.uint16))


def rows(found):
    assert found.pooled[:, 0].tolist() == found.rows.tolist()
    return list(zip(found.classes.tolist(), found.keys.tolist(), found.rows.tolist(), strict=True))


@given(images, images, images, st.integers(1, 4))
def test_merging_is_a_commutative_monoid_that_keeps_the_best(a, b, c, k):
    x, y, z = of(a), of(b, 100), of(c, 200)
    assert rows(merge([x, y], k)) == rows(merge([y, x], k))
    assert rows(merge([merge([x, y], k), z], k)) == rows(merge([x, merge([y, z], k)], k))
    assert rows(merge([x, of([])], k)) == rows(merge([x], k))
    everything = sorted(rows(x) + rows(y) + rows(z))
    best = [item for group in range(4) for item in [i for i in everything if i[0] == group][:k]]
    assert rows(merge([x, y, z], k)) == best
