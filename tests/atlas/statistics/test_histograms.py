import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.atlas.statistics import histograms
from pipeline.atlas.statistics.binning import NO_BIN
from pipeline.atlas.statistics.histograms import Histograms
from pipeline.atlas.statistics.membership import Members

CELLS, BINS = 3, (4, 2)
images = st.lists(
    st.tuples(
        st.integers(-1, CELLS - 1),
        st.integers(-1, CELLS - 1),
        st.booleans(),
        st.sampled_from([0, 1, 3, NO_BIN]),
        st.sampled_from([0, 1, NO_BIN]),
    ),
    max_size=30,
)


def counted(items):
    found = Histograms(CELLS, BINS)
    columns = [np.array([item[i] for item in items]) for i in range(5)]
    cells = np.stack(columns[:2], axis=1).astype(int)
    cells[cells[:, 0] == cells[:, 1], 1] = -1
    rows = np.arange(len(items))
    members = Members(rows, columns[2].astype(bool), cells, rows)
    found.add(members, np.stack(columns[3:]).astype(np.uint16))
    return found, members, np.stack(columns[3:])


def everything(found):
    return [counts.tolist() for counts in found.of_columns(range(len(BINS)))]


@given(images)
def test_every_image_is_counted_in_its_cells(items):
    found, members, codes = counted(items)
    for j, counts in enumerate(found.of_columns(range(len(BINS)))):
        expected = np.zeros((CELLS, BINS[j]), int)
        for image, two in enumerate(members.cells):
            for cell in two:
                if members.ok[image] and cell >= 0 and codes[j, image] != NO_BIN:
                    expected[cell, int(codes[j, image])] += 1
        assert np.array_equal(counts, expected)


@pytest.mark.parametrize("kept", [0, 5, 512])
@given(a=images, b=images, c=images)
def test_merging_is_a_commutative_monoid_however_many_are_kept(kept, a, b, c):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(histograms, "KEPT_IMAGES", kept)
        x, y, z = (counted(items)[0] for items in (a, b, c))
        assert everything(Histograms.merged([x, y])) == everything(Histograms.merged([y, x]))
        left, right = (
            Histograms.merged([Histograms.merged([x, y]), z]),
            Histograms.merged([x, Histograms.merged([y, z])]),
        )
        whole = everything(counted(a + b + c)[0])
        assert everything(left) == everything(right) == whole
        assert everything(Histograms.merged([x, Histograms(CELLS, BINS)])) == everything(x)
        assert everything(Histograms(CELLS, BINS).unpack(left.pack())) == whole
        assert everything(x) == everything(counted(a)[0])
