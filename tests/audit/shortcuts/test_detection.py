import numpy as np

from pipeline.audit.shortcuts.detection import Q_LIMIT, find_shortcuts
from pipeline.audit.stats.estimates import QUIET_LIFT, STATISTICS, Estimates

CLASSES = 10
BY_NAME = {statistic.name: statistic for statistic in STATISTICS}


def estimates(**raised):
    """Quiet estimates of every statistic; ``raised`` lifts the score of some class of some."""
    rng = np.random.default_rng(0)
    found = []
    for name, statistic in BY_NAME.items():
        score = 0.02 * rng.standard_normal(CLASSES)
        for number, amount in raised.get(name, {}).items():
            score[number] += amount
        error, images = np.full(CLASSES, 0.02), np.full(CLASSES, 250)
        found.append(Estimates(statistic, value_of(statistic, score), score, error, images))
    return found


def value_of(statistic, score):
    """What a person would read at a score."""
    if statistic.kind == "depth":
        return 5 - score
    if statistic.kind == "mass":
        return 2.0**-score
    if statistic.aspect == "share":
        return np.clip(0.004 + score / 10, 0, 1)
    return 2.0**score - QUIET_LIFT


def test_quiet_readings_give_nothing():
    assert find_shortcuts(estimates()) == ()


def test_all_that_speaks_of_a_class_is_one_finding():
    (found,) = find_shortcuts(
        estimates(
            corner_tr_flow_tail={4: 3.0}, border_flow_level={4: 1.0}, mass_confident_level={4: 5.0}
        )
    )
    assert found.headline.class_id == 4
    assert found.headline.statistic is BY_NAME["corner_tr_flow_tail"]
    names = [signal.statistic.name for signal in found.supporting]
    assert names == ["border_flow_level", "mass_confident_level"]
    assert found.headline.effect > 4
    assert found.headline.q <= Q_LIMIT
    assert found.severity == "high"


def test_the_gravest_class_comes_first():
    found = find_shortcuts(
        estimates(
            corner_bl_flow_level={2: 2.0}, border_flow_tail={5: 1.5}, corner_tr_flow_level={7: 0.9}
        )
    )
    assert [shortcut.headline.class_id for shortcut in found] == [2, 5, 7]
    assert found[0].severity == "high"
    assert found[-1].severity == "medium"


def test_a_weaker_look_at_the_same_place_is_an_echo():
    found = find_shortcuts(
        estimates(
            corner_bl_flow_tail={2: 5.0, 7: 1.5},
            border_flow_tail={7: 1.2},
            corner_br_flow_tail={4: 1.5},
        )
    )
    kinds = {shortcut.headline.class_id: (shortcut.kind, shortcut.source) for shortcut in found}
    assert kinds == {2: ("shortcut", None), 4: ("shortcut", None), 7: ("echo", 2)}
    assert [shortcut.severity for shortcut in found] == ["high", "medium", "low"]


def test_a_second_class_with_a_shortcut_of_its_own_is_no_echo():
    """It looks there as strongly, almost only there, or something else speaks of it as well."""
    for own in (
        {"corner_bl_flow_tail": {2: 5.0, 7: 4.0}},
        {"corner_bl_flow_tail": {2: 5.0, 7: 1.5}, "corner_bl_flow_share": {7: 0.5}},
        {"corner_bl_flow_tail": {2: 5.0, 7: 1.5}, "mass_confident_level": {7: 1.0}},
        {"corner_bl_flow_tail": {2: 5.0, 7: 1.5}, "corner_br_flow_tail": {7: 1.5}},
    ):
        found = find_shortcuts(estimates(**own))
        assert {shortcut.headline.class_id for shortcut in found} == {2, 7}
        assert all(shortcut.kind != "echo" for shortcut in found), own


def test_what_gets_less_than_an_even_flow_is_not_looked_at():
    for even, expected in ((0.9, 0), (1.1, 1)):
        quiet = estimates(corner_tl_flow_tail={3: 4.0})
        for item in quiet:
            if item.statistic.name == "corner_tl_flow_tail":
                item.value[:] = 0.05
                item.value[3] = even
        assert len(find_shortcuts(quiet)) == expected


def test_a_sure_but_small_effect_is_no_finding():
    small = estimates()
    for item in small:
        item.error[:] = 1e-6
        item.score[:] = 1e-6 * np.arange(CLASSES)
    (level,) = (item for item in small if item.statistic.name == "border_flow_level")
    for effect, found in ((1.4, 0), (1.7, 1)):
        level.score[3] = np.log2(effect)
        level.value[:] = value_of(level.statistic, level.score)
        assert len(find_shortcuts(small)) == found
    assert [shortcut.headline.class_id for shortcut in find_shortcuts(small)] == [3]


def test_the_other_direction_is_no_finding():
    assert (
        find_shortcuts(estimates(corner_tl_flow_level={1: -3.0}, border_flow_level={1: -3})) == ()
    )


def test_depth_is_said_in_layers():
    (found,) = find_shortcuts(estimates(convergence_depth_level={6: 2.0}))
    assert 1.9 < found.headline.effect < 2.1
    assert found.headline.statistic.kind == "depth"


def test_a_run_of_two_classes_has_nothing_to_compare():
    two = [
        Estimates(r.statistic, r.value[:2], r.score[:2], r.error[:2], r.images[:2])
        for r in estimates(corner_tl_flow_level={0: 9.0})
    ]
    assert find_shortcuts(two) == ()
