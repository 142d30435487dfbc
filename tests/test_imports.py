"""Who may import what: Ray and Dask stay where they are."""

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

RAY = "pipeline/engine/ray/"
"""Where Ray is imported; ``jobs/submit.py`` also does, when it is called."""


def importers(package: str, *, anywhere: bool) -> set[str]:
    """Return the files that import a package, at their top or ``anywhere`` in them."""
    found = set()
    for path in [*ROOT.glob("pipeline/**/*.py"), *ROOT.glob("jobs/*.py")]:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree) if anywhere else tree.body:
            names = (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else []
            )
            if any(name.split(".")[0] == package for name in names):
                found.add(str(path.relative_to(ROOT)))
    return found


def test_only_the_engine_on_a_cluster_imports_ray():
    assert importers("ray", anywhere=False)
    assert all(name.startswith(RAY) for name in importers("ray", anywhere=False))
    elsewhere = {name for name in importers("ray", anywhere=True) if not name.startswith(RAY)}
    assert elsewhere == {"jobs/submit.py"}


def test_only_the_atlas_imports_dask():
    for package in ("dask", "distributed"):
        assert all(name.startswith("pipeline/atlas/") for name in importers(package, anywhere=True))
    assert importers("dask", anywhere=True)
