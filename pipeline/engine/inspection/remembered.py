"""``inspected``: the inspection of a model, remembered from an earlier time where nothing differs.

Loading torch, timm and a model takes most of the time that a command needs to see that a run is
finished. What the model was found to be is therefore kept on this machine, under a hash of
everything that it was found from: the very bytes of the weights, the settings of model and method,
and this program's own code.
"""

import hashlib
import json
import logging
import os
from collections.abc import Mapping
from dataclasses import asdict
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pipeline
from pipeline.config import RunConfig, content_hash
from pipeline.engine.inspection.hub import newest_copy
from pipeline.engine.inspection.inspection import HubFile, Inspection
from pipeline.files.node_cache import cache_folder, local_copy
from pipeline.models.outputs.output_names import IMAGENET_1K
from pipeline.store import Run

_log = logging.getLogger(__name__)

_LIBRARIES = ("numpy", "safetensors", "timm", "torch", "torchvision")


def inspected(config: RunConfig, root: str, compared: Run | None) -> Inspection:
    """Return what the model is and what the method returns for it.

    See :func:`pipeline.engine.inspection.inspect_model.inspect_model`, which is called unless the
    result is remembered from the same weights, settings and code. Weights of a hub are those that
    it has now. What can be known only by running it is never remembered: a factory, and references
    in a table.
    """
    key = _key(config, compared)
    if key is not None and (known := _recall(_path(key))) is not None:
        _log.info("the model and the method are known from an earlier run")
        return known
    from pipeline.engine.inspection.inspect_model import inspect_model

    found = inspect_model(config, root, compared)
    if found.hub is not None:
        _remember(_hub_path(config), asdict(found.hub))
        key = _key(config, compared)
    if key is not None and key == _key(config, compared):  # the file is still the same
        _remember(_path(key), found.to_json())
    return found


def _key(config: RunConfig, compared: Run | None) -> str | None:
    """Return a hash of all that an inspection depends on; None where that is not known."""
    model, asked = config.model, config.flow.references
    if model.factory is not None or ":" in model.name:
        return None
    if asked is not None and asked.table is not None:
        return None
    files = [local_copy(model.class_embeddings)] if model.class_embeddings else []
    if model.weights != "pretrained":
        files.append(local_copy(model.weights))
    elif (copy := _pretrained(config)) is not None:
        files.append(str(copy))
    else:
        return None
    try:
        digests = [(Path(file).name, _sha256(Path(file))) for file in files]
    except OSError:
        return None  # loading it says what is wrong
    content = {
        "model": model.model_dump(mode="json", exclude={"weights", "class_embeddings"}),
        "embeddings": model.class_embeddings is not None,
        "flow": config.flow.model_dump(mode="json", exclude={"target", "batch_size", "store"}),
        "files": digests,
        "imagenet": config.dataset.classes == IMAGENET_1K,
        "references": None if compared is None else compared.spec.hash,
        "libraries": {name: _version(name) for name in _LIBRARIES},
        "code": _code(),
    }
    return content_hash(content)


def _pretrained(config: RunConfig) -> Path | None:
    """Return the file of a model's weights on this machine; None where it is not known."""
    if any(option.startswith("pretrained") for option in config.model.options):
        return None
    try:
        file = HubFile(**json.loads(_hub_path(config).read_bytes()))
    except (OSError, ValueError, TypeError):
        return None
    return newest_copy(file)


def _hub_path(config: RunConfig) -> Path:
    """Return where it is kept which file of a hub a model's weights are."""
    name = content_hash([config.model.name, _version("timm")])
    return cache_folder() / "inspections" / f"hub-{name}.json"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _version(library: str) -> str | None:
    try:
        return version(library)
    except PackageNotFoundError:
        return None


@cache
def _code() -> str:
    """Return a hash of this program's source files."""
    folder, digest = Path(pipeline.__file__).parent, hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(folder).as_posix()} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def _path(key: str) -> Path:
    return cache_folder() / "inspections" / f"{key}.json"


def _recall(path: Path) -> Inspection | None:
    try:
        content: Any = json.loads(path.read_bytes())
        return Inspection.from_json(content)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _remember(path: Path, found: Mapping[str, Any]) -> None:
    """Keep what was found; a folder that cannot be written to costs time, and is no error."""
    part = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(json.dumps(found, sort_keys=True))
        part.replace(path)
    except OSError as error:
        _log.info("cannot keep what was found of the model: %s", error)
