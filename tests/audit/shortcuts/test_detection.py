import numpy as np

from pipeline.audit.shortcuts.detection import Q_LIMIT, find_shortcuts
from pipeline.audit.stats.estimates import QUIET_LIFT, STATISTICS, Reading

CLASSES = 10
BY_NAME = {statistic.name: statistic for statistic in STATISTICS}


def readings(**raised):
    """Quiet readings of every statistic; ``raised`` lifts the score of some class of some."""
    rng = np.random.default_rng(0)
    found = []
    for name, statistic in BY_NAME.items():
        score = 0.02 * rng.standard_normal(CLASSES)
        for number, amount in raised.get(name, {}).items():
            score[number] += amount
        error, images = np.full(CLASSES, 0.02), np.full(CLASSES, 250)
        found.append(Reading(statistic, value_of(statistic, score), score, error, images))
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
    assert find_shortcuts(readings()) == ()


def test_all_that_speaks_of_a_class_is_one_finding():
    (found,) = find_shortcuts(
        readings(
            corner_tr_flow_tail={4: 3.0}, border_flow_level={4: 1.0}, mass_confident_level={4: 5.0}
        )
    )
    assert found.headline.number == 4
    assert found.headline.statistic is BY_NAME["corner_tr_flow_tail"]
    names = [signal.statistic.name for signal in found.supporting]
    assert names == ["border_flow_level", "mass_confident_level"]
    assert found.headline.effect > 4
    assert found.headline.q <= Q_LIMIT
    assert found.severity == "high"


def test_the_gravest_class_comes_first():
    found = find_shortcuts(
        readings(
            corner_bl_flow_level={2: 2.0}, border_flow_tail={5: 1.5}, corner_tr_flow_level={7: 0.9}
        )
    )
    assert [finding.headline.number for finding in found] == [2, 5, 7]
    assert found[0].severity == "high"
    assert found[-1].severity == "medium"


def test_a_weaker_look_at_the_same_place_is_an_echo():
    found = find_shortcuts(
        readings(
            corner_bl_flow_tail={2: 5.0, 7: 1.5},
            border_flow_tail={7: 1.2},
            corner_br_flow_tail={4: 1.5},
        )
    )
    kinds = {finding.headline.number: (finding.kind, finding.leader) for finding in found}
    assert kinds == {2: ("shortcut", None), 4: ("shortcut", None), 7: ("echo", 2)}
    assert [finding.severity for finding in found] == ["high", "medium", "low"]


def test_a_second_class_with_a_shortcut_of_its_own_is_no_echo():
    """It looks there as strongly, almost only there, or something else speaks of it as well."""
    for own in (
        {"corner_bl_flow_tail": {2: 5.0, 7: 4.0}},
        {"corner_bl_flow_tail": {2: 5.0, 7: 1.5}, "corner_bl_flow_share": {7: 0.5}},
        {"corner_bl_flow_tail": {2: 5.0, 7: 1.5}, "mass_confident_level": {7: 1.0}},
        {"corner_bl_flow_tail": {2: 5.0, 7: 1.5}, "corner_br_flow_tail": {7: 1.5}},
    ):
        found = find_shortcuts(readings(**own))
        assert {finding.headline.number for finding in found} == {2, 7}
        assert all(finding.kind != "echo" for finding in found), own


def test_what_gets_less_than_an_even_flow_is_not_looked_at():
    for even, expected in ((0.9, 0), (1.1, 1)):
        quiet = readings(corner_tl_flow_tail={3: 4.0})
        for reading in quiet:
            if reading.statistic.name == "corner_tl_flow_tail":
                reading.value[:] = 0.05
                reading.value[3] = even
        assert len(find_shortcuts(quiet)) == expected


def test_a_sure_but_small_effect_is_no_finding():
    small = readings()
    for reading in small:
        reading.error[:] = 1e-6
        reading.score[:] = 1e-6 * np.arange(CLASSES)
    (level,) = (reading for reading in small if reading.statistic.name == "border_flow_level")
    for effect, found in ((1.4, 0), (1.7, 1)):
        level.score[3] = np.log2(effect)
        level.value[:] = value_of(level.statistic, level.score)
        assert len(find_shortcuts(small)) == found
    assert [finding.headline.number for finding in find_shortcuts(small)] == [3]


def test_the_other_direction_is_no_finding():
    assert find_shortcuts(readings(corner_tl_flow_level={1: -3.0}, border_flow_level={1: -3})) == ()


def test_depth_is_said_in_layers():
    (found,) = find_shortcuts(readings(convergence_depth_level={6: 2.0}))
    assert 1.9 < found.headline.effect < 2.1
    assert found.headline.statistic.kind == "depth"


def test_a_run_of_two_classes_has_nothing_to_compare():
    two = [
        Reading(r.statistic, r.value[:2], r.score[:2], r.error[:2], r.images[:2])
        for r in readings(corner_tl_flow_level={0: 9.0})
    ]
    assert find_shortcuts(two) == ()
