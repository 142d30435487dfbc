"""The page of attention heads, and its table."""

from collections.abc import Mapping

from pipeline.report.pages.heads import Heads, heads_table
from pipeline.report.pages.templates import HEADS, fill
from pipeline.store import Run
from pipeline.store.parquet import parquet_bytes

TABLE = "report/data/heads.parquet"


def write_heads(run: Run, heads: Heads | None, common: Mapping[str, object]) -> None:
    """Write the page of attention heads; remove that of an earlier report if there are none."""
    page = f"report/{HEADS.path}"
    if heads is None:
        for path in (page, TABLE):
            run.delete(path)
        return
    run.write(TABLE, parquet_bytes(heads_table(heads)))
    contents = {
        **common,
        "heads": heads,
        "groups": heads.listed(),
        "silhouette": heads.groups.silhouette,
    }
    run.write(page, fill(HEADS, contents))
