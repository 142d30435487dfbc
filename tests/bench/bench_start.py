"""How long commands take to start (``python -m tests.bench.bench_start``).

A generated dataset and a ViT-Ti with random weights; each command is a process of its own, and CPU
time is that of all its processes. *First image* is the time until the first unit is done, less what
its receipt says that the unit took.
"""

import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml

_HEAVY = ("torch", "torchvision", "timm", "ray", "zarr", "pyarrow", "pandas", "pipeline")


def main() -> None:
    """Print a table of commands with wall and CPU seconds, and the slowest imports."""
    with TemporaryDirectory() as folder:
        path = _configuration(Path(folder))
        env = {**os.environ, "FLOWATLAS_CACHE": f"{folder}/cache", "OMP_NUM_THREADS": "1"}
        print("| command | wall s | CPU s | first image after s |\n| --- | --- | --- | --- |")
        _row("a new run", path, env)
        _row("the finished run", path, env)
        (Path(folder) / "run" / "_SUCCESS").unlink()
        for receipt in sorted((Path(folder) / "run/receipts").iterdir())[1:]:
            receipt.unlink()
        _row("a run that is resumed", path, env)
        _row("the finished run", path, env)
        env["FLOWATLAS_CACHE"] = f"{folder}/another"
        _row("the finished run, on another machine", path, env)
        print()
        _imports(path, {**env, "FLOWATLAS_CACHE": f"{folder}/cache"})


def _configuration(folder: Path) -> Path:
    content = {
        "run": "run",
        "dataset": {"source": str(_images(folder / "images"))},
        "model": {"name": "vit_tiny_patch16_224", "weights": str(_weights(folder))},
        "flow": {"batch_size": 16},
        "unit_rows": 16,
        "cluster": {"actors": 1},
    }
    path = folder / "run.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def _images(folder: Path, count: int = 64) -> Path:
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(0)
    for number in range(count):
        place = folder / f"class {number % 4}"
        place.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 255, (15, 20, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((500, 375)).save(place / f"{number}.jpg")
    return folder


def _weights(folder: Path) -> Path:
    code = (
        "import sys, timm; from safetensors.torch import save_file\n"
        "model = timm.create_model('vit_tiny_patch16_224', num_classes=4)\n"
        "save_file(model.state_dict(), sys.argv[1])"
    )
    path = folder / "model.safetensors"
    subprocess.run([sys.executable, "-c", code, str(path)], check=True)
    return path


def _row(what: str, path: Path, env: dict[str, str]) -> None:
    """Run ``flowatlas flows`` and print what it took."""
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.time()
    command = [sys.executable, "-m", "jobs.cli", "flows", str(path), "--json"]
    first = ""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) as process:
        for line in process.stdout or ():
            event = json.loads(line)
            if event["event"] == "unit" and not first:
                own = ("wait", "compute", "measure", "assemble", "queue", "commit")
                took = sum(event["seconds"].get(stage, 0.0) for stage in own)
                first = f"{time.time() - begin - took:.1f}"
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(f"| {what} | {time.time() - begin:.1f} | {spent:.1f} | {first} |", flush=True)


def _imports(path: Path, env: dict[str, str]) -> None:
    """Print what the finished run imports, in milliseconds of its own."""
    command = [sys.executable, "-X", "importtime", "-m", "jobs.cli", "flows", str(path)]
    result = subprocess.run(command, capture_output=True, text=True, env=env, check=True)
    own: dict[str, int] = {}
    for line in result.stderr.splitlines():
        if line.startswith("import time:") and "|" in line and "self" not in line:
            spent, _, name = (part.strip() for part in line.removeprefix("import time:").split("|"))
            package = name.split(".")[0]
            own[package] = own.get(package, 0) + int(spent)
    print("| imported by the finished run | ms |\n| --- | --- |")
    print(f"| all | {sum(own.values()) // 1000} |")
    for package in _HEAVY:
        print(f"| {package} | {own.get(package, 0) // 1000} |")


if __name__ == "__main__":
    main()
