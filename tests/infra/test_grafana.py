"""Every query of the dashboard names metrics that exist."""

import json
import re
from pathlib import Path

from pipeline.engine.ray.metrics import METRICS
from tests.infra.commands import ROOT

DASHBOARD = json.loads((ROOT / "infra" / "grafana.json").read_text())
OF_RAY = {"ray_node_gpus_utilization", "ray_node_mem_used", "ray_node_mem_total"}


def queries() -> list[str]:
    asked = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
    return asked + [
        item["query"] for item in DASHBOARD["templating"]["list"] if item["type"] == "query"
    ]


def names(query: str) -> set[str]:
    return set(re.findall(r"\bray_\w+", query))


def test_every_query_names_a_metric_that_exists():
    known = {f"ray_{name}" for name in METRICS} | OF_RAY
    for query in queries():
        assert names(query), query
        assert names(query) <= known, query


def test_queries_of_ray_metrics_name_metrics_of_ray():
    from ray.dashboard.modules.reporter import reporter_agent

    source = Path(reporter_agent.__file__).read_text()
    for name in OF_RAY:
        assert f'"{name.removeprefix("ray_")}"' in source


def test_every_metric_is_shown():
    shown = set().union(*map(names, queries()))
    assert {f"ray_{name}" for name in METRICS} <= shown


def test_queries_group_and_select_by_tags_that_exist():
    for query in queries():
        (name,) = {n.removeprefix("ray_") for n in names(query)} & METRICS.keys() or {None}
        if name is None:
            continue
        tags = {"run", *METRICS[name][2]}
        assert set(re.findall(r"by \((\w+)\)", query)) <= tags
        assert set(re.findall(r"[{,](\w+)=~", query)) <= tags
        assert "rate(" not in query or name.endswith("_total"), "only counters have a rate"


def test_legends_are_tags_and_panels_do_not_overlap():
    cells: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        covered = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not covered & cells
        assert max(x for x, _ in covered) < 24
        cells |= covered
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
