"""Is it right on a GPU, and how fast? One command, under eight minutes.

    python -m tests.gpu.check [--device cpu] [--quick] [--output FOLDER] [PART …]

The parts: ``equality`` (every method on the GPU against the CPU, half precision against float32),
``ratios`` (DAAM beside the plain model), ``stages`` (``flowatlas benchmark``: every part of a run
alone and together), ``run`` (a whole run with the settings that ``stages`` recommends) and
``steps`` (a worker's steps as CUDA graphs and call by call). Each writes a table of Markdown to
FOLDER as soon as it is done. ``--quick`` takes models and pictures so small that a CPU needs
seconds: it shows that the check works, its figures mean nothing.
"""

import argparse
import importlib.util
import os
import platform
import subprocess
import sys
import time
import traceback
from pathlib import Path

NEEDED = {
    "torch": "torch",
    "torchvision": "torchvision",
    "timm": "timm",
    "numpy": "numpy",
    "pyarrow": "pyarrow",
    "PIL": "pillow",
    "yaml": "pyyaml",
    "safetensors": "safetensors",
    "pydantic": "pydantic",
    "zarr": "zarr",
    "obstore": "obstore",
    "simplejpeg": "simplejpeg",
    "ray": "ray",
}
"""What a run imports, by module: the package that has it."""


def missing(without: tuple[str, ...] = ()) -> list[str]:
    """Return the packages that this machine lacks."""
    lacking = [name for name in NEEDED if name not in without]
    return [NEEDED[name] for name in lacking if importlib.util.find_spec(name) is None]


def heading(device: str, quick: bool) -> str:
    """Return machine, commit, versions and command, as Markdown."""
    import timm
    import torch

    name = torch.cuda.get_device_name() if device == "cuda" else platform.machine()
    done = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    commit = done.stdout.strip() or "unknown"
    command = f"python -m tests.gpu.check --device {device}{' --quick' * quick}"
    return (
        f"{name}, {os.cpu_count()} CPUs; commit {commit}, torch {torch.__version__}, "
        f"timm {timm.__version__}. `{command}`"
    )


def main(given: list[str] | None = None) -> int:
    """Run the parts; return the number of those that failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", default=[])
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--output", type=Path, default=Path("gpu-results"))
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args(given)
    if lacking := missing(("ray",) if arguments.quick else ()):
        print(f"missing packages: {' '.join(lacking)}; see tests/gpu/README.md", file=sys.stderr)
        return 1
    from tests.gpu import equality, ratios, runs, steps

    begin, failed = time.perf_counter(), 0
    parts = {
        "equality": equality.table,
        "ratios": ratios.table,
        "stages": runs.stages,
        "run": runs.whole,
        "steps": steps.table,  # last: a failed graph may leave the GPU unusable
    }
    unknown = set(arguments.parts) - parts.keys()
    if unknown:
        parser.error(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(parts)}")
    arguments.output.mkdir(parents=True, exist_ok=True)
    first = heading(arguments.device, arguments.quick)
    for name in arguments.parts or parts:
        since = time.perf_counter()
        try:
            lines = parts[name](arguments.device, arguments.quick)
        except Exception:  # the others may still say something
            failed += 1
            lines = ["FAILED", "```", traceback.format_exc().rstrip(), "```"]
        took = f"{time.perf_counter() - since:.0f} s"
        text = "\n".join([f"# {name}", "", f"{first}; {took}", "", *lines, ""])
        (arguments.output / f"{name}.md").write_text(text, encoding="utf-8")
        print(text, flush=True)
    print(f"{time.perf_counter() - begin:.0f} s in all, {failed} parts failed")
    return failed


if __name__ == "__main__":
    sys.exit(main())
