"""The image can be built from this tree, holds what its pods start, and caches well."""

import fnmatch
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import Distribution, entry_points
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = ROOT / "infra" / "Dockerfile"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def instructions() -> list[tuple[str, str]]:
    """Return (instruction, arguments) in order, continuation lines joined, comments left out."""
    lines = [line for line in DOCKERFILE.read_text().splitlines() if not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [tuple(line.split(maxsplit=1)) for line in joined.splitlines() if line.strip()]


def of(name: str) -> list[str]:
    return [arguments for instruction, arguments in instructions() if instruction == name]


def copied() -> list[str]:
    return [source for arguments in of("COPY") for source in shlex.split(arguments)[:-1]]


def step(text: str) -> int:
    """Return the position of the only instruction that contains ``text``."""
    (place,) = [i for i, (_, arguments) in enumerate(instructions()) if text in arguments]
    return place


def in_context(path: str) -> bool:
    """Return whether the ignore file lets a path into the build: the last matching pattern wins."""
    kept = True
    for line in (ROOT / "infra" / "Dockerfile.dockerignore").read_text().splitlines():
        pattern = line.removeprefix("!").replace("**/", "*")
        if line and not line.startswith("#"):
            names = [path, *map(str, Path(path).parents)]
            if any(fnmatch.fnmatchcase(name, pattern) for name in names):
                kept = line.startswith("!")
    return kept


def test_the_base_is_one_pinned_python_that_is_tested():
    (base,) = of("FROM")
    image, tag = base.split(":")
    version = re.match(r"3\.\d+", tag)
    assert image == "python"
    assert "slim" in tag
    assert (
        f"Programming Language :: Python :: {version.group()}" in PROJECT["project"]["classifiers"]
    )


def test_nothing_floats_and_nothing_names_an_architecture():
    text = "\n".join(arguments for _, arguments in instructions())
    assert not re.search(r"latest|amd64|x86_64|arm64|aarch64|--platform", text)


@pytest.mark.parametrize("source", copied())
def test_what_is_copied_exists_and_reaches_the_build(source):
    assert (ROOT / source).exists()
    assert in_context(source)


@pytest.mark.parametrize(
    "path",
    [".git/config", ".venv/bin/python", "tests/conftest.py", "infra/rayjob.yaml", "data/0.jpg"],
)
def test_nothing_else_reaches_the_build(path):
    assert not in_context(path)


def test_of_the_packages_all_but_byte_code_reaches_the_build():
    assert in_context("pipeline/report/templates/base.html")
    assert not in_context("pipeline/engine/__pycache__/pool.cpython-311.pyc")


def test_every_package_is_copied():
    patterns = PROJECT["tool"]["setuptools"]["packages"]["find"]["include"]
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    shipped = {name for name in packages if any(fnmatch.fnmatch(name, p) for p in patterns)}
    assert shipped
    assert shipped <= set(copied())


def test_dependencies_are_installed_pinned_and_before_the_sources():
    _, dependencies, sources = (
        i for i, (_, arguments) in enumerate(instructions()) if "pip install" in arguments
    )
    assert '-c infra/constraints.txt ".[cluster]"' in instructions()[dependencies][1]
    assert "--no-deps" in instructions()[sources][1]
    assert step("constraints.txt infra/") < dependencies
    for package in ("pipeline pipeline", "jobs jobs"):
        assert dependencies < step(package) < sources


@pytest.mark.parametrize(("variant", "code"), [("gpu", 0), ("cpu", 0), ("tpu", 1)])
def test_a_variant_is_gpu_or_cpu(variant, code):
    """The step of the image, with an installer that only prints its arguments."""
    script = re.sub(r"--mount=\S+\s*", "", instructions()[step("case")][1])
    script_text = "pip() { echo pip $*; }; VARIANT=" + variant + "; " + script
    result = subprocess.run(
        ["bash", "-c", script_text], capture_output=True, text=True, check=False
    )
    assert result.returncode == code
    assert ("torch torchvision --index-url" in result.stdout) == (variant == "cpu")
    assert "ARG" in dict(instructions())


def test_the_constraints_pin_what_the_image_installs():
    text = (ROOT / "infra" / "constraints.txt").read_text()
    pinned = {name.lower().replace("_", "-") for name in re.findall(r"^([\w.-]+)==", text, re.M)}
    wanted = (
        PROJECT["project"]["dependencies"] + PROJECT["project"]["optional-dependencies"]["cluster"]
    )
    assert {re.match(r"[\w.-]+", each).group().lower() for each in wanted} <= pinned


def test_the_dependency_layer_needs_no_sources(tmp_path):
    """What is copied before the first install is enough to list flowatlas's dependencies."""
    pytest.importorskip("setuptools", minversion="80")
    before = instructions()[: step('".[cluster]"')]
    for instruction, arguments in before:
        for source in shlex.split(arguments)[:-1] if instruction == "COPY" else ():
            if not source.startswith("infra/"):
                shutil.copy(ROOT / source, tmp_path / source)
    (tmp_path / "out").mkdir()
    build = "from setuptools import build_meta as b; b.prepare_metadata_for_build_wheel('out')"
    subprocess.run([sys.executable, "-c", build], cwd=tmp_path, check=True, capture_output=True)
    (info,) = (tmp_path / "out").glob("*.dist-info")
    requires = Distribution.at(info).requires
    assert any(each.startswith("torch>") for each in requires)
    assert any(each.startswith("ray[default]") and "cluster" in each for each in requires)


def test_a_command_follows_the_image_as_it_is():
    assert not of("ENTRYPOINT"), "KubeRay and `docker run image flowatlas …` name the program"
    (command,) = of("CMD")
    assert re.findall(r'"([^"]+)"', command)[0] in PROJECT["project"]["scripts"]


def test_kuberay_finds_ray_and_its_probe():
    (script,) = entry_points(group="console_scripts", name="ray")
    assert script.dist.name == "ray"
    assert "wget" in instructions()[step("apt-get install")][1]
    text = "\n".join(arguments for _, arguments in instructions())
    assert not re.search(r"PATH=|venv", text), "a login shell resets PATH"


def test_the_last_user_is_not_root_and_a_number():
    (user,) = of("USER")
    assert int(user) > 0
    assert f"--uid {user} " in instructions()[step("useradd")][1]
    assert step("useradd") < instructions().index(("USER", user))
