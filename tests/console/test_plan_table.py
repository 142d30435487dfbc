import io

from rich.console import Console
from rich.table import Table

from pipeline.console.plan_table import needs_table, shape_table
from pipeline.engine import plan_run
from tests.store.runs import spec_of


def printed(*tables: Table) -> list[str]:
    out = io.StringIO()
    console = Console(file=out, width=200)
    for table in tables:
        console.print(table)
    return out.getvalue().splitlines()


def test_two_tables_look_like_one() -> None:
    spec = spec_of(rows=50, unit_rows=16)
    plan = plan_run(spec, batch_size=8, images_per_second=2, workers=3, price_per_hour=3)
    screening = {"classes": 3, "passes": 1200, "seconds": 7200.0, "cost": 1.5}
    lines = printed(shape_table(spec), needs_table(plan, spec, None, screening))
    names = [line.split()[0] for line in lines]
    assert names == [
        *("images", "units", "maps", "bytes", "objects", "memory", "time", "cost", "screening")
    ]
    starts = {len(line) - len(line[10:].lstrip()) for line in lines}
    assert len(starts) == 1, lines
    assert "at most 1,200 forward passes for 3 classes, 2.00 h or less, cost 1.50" in lines[-1]
    assert "0.3 min with 3 actors at 2 images/s each" in lines[6]


def test_what_is_not_known_is_left_out() -> None:
    spec = spec_of(rows=50, unit_rows=16)
    lines = printed(needs_table(plan_run(spec, batch_size=8), spec, None, None))
    assert [line.split()[0] for line in lines] == ["bytes", "objects", "memory"]
    assert "per second" not in lines[1]
