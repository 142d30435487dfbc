from types import SimpleNamespace

from pipeline.report.pages.neighbours import NEAREST, find_neighbours


def rows(classes):
    return {number: SimpleNamespace(class_id=own) for number, own in enumerate(classes)}


def pictures(flows):
    return {number: SimpleNamespace(flow=flow) for number, flow in enumerate(flows)}


def test_the_nearest_of_the_same_class_come_first():
    flows = [(1.0, 0.0), (0.9, 0.1), (0.5, 0.5), (0.0, 1.0), (1.0, 0.0), ()]
    found = find_neighbours(rows([0, 0, 0, 0, 1, 0]), pictures(flows))
    assert found[0] == (1, 2, 3)
    assert found[3] == (2, 1, 0)
    assert found[4] == ()
    assert found[5] == ()


def test_there_are_few_and_ties_go_to_the_lower_row():
    found = find_neighbours(rows([0] * 9), pictures([(0.5, 0.5)] * 9))
    assert found[0] == tuple(range(1, 1 + NEAREST))
    assert found[8] == tuple(range(NEAREST))
    assert find_neighbours(rows([None]), pictures([(1.0,)])) == {0: ()}
