"""A package's exports are imported on first use, in any order, and nothing else is."""

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import pipeline

ROOT = Path(pipeline.__file__).parent
LAZY = {
    ".".join(path.parent.relative_to(ROOT.parent).parts): path
    for path in sorted(ROOT.rglob("__init__.py"))
    if "lazy_exports(" in path.read_text()
}


def announced(room: str) -> set[str]:
    """Return the names that a type checker sees a room import."""
    blocks = [node for node in ast.parse(LAZY[room].read_text()).body if isinstance(node, ast.If)]
    imports = [node for block in blocks for node in block.body if isinstance(node, ast.ImportFrom)]
    return {alias.name for node in imports for alias in node.names}


@pytest.mark.parametrize("room", LAZY)
def test_every_announced_export_can_be_had_and_no_other(room):
    module = import_module(room)
    assert announced(room)
    assert announced(room) <= set(module.__all__)
    for name in module.__all__:
        assert getattr(module, name) is not None
    with pytest.raises(AttributeError, match=f"module '{room}' has no attribute 'nonsense'"):
        _ = module.nonsense


@pytest.mark.parametrize("room", LAZY)
def test_no_export_has_the_name_of_a_module(room):
    """Importing the module would put it in the export's place."""
    assert not announced(room) & {path.stem for path in LAZY[room].parent.iterdir()}


def test_a_light_module_of_a_heavy_room_is_light():
    light = "pipeline.audit.text.numbers, pipeline.engine.usage.clock, pipeline.report.charts"
    heavy = "{'torch', 'ray', 'pyarrow', 'zarr', 'scipy', 'dask'}"
    code = f"import sys, {light}; print({heavy} & sys.modules.keys())"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout == "set()\n", result.stderr
