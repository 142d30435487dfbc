"""Weights on a hub: which file a model was built from, and this machine's copy of it."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.engine.inspection.inspection import HubFile

_NAMES = ("model.safetensors", "pytorch_model.bin")
"""What timm asks a repository for, in this order."""


def hub_file(pretrained_cfg: Mapping[str, Any]) -> HubFile | None:
    """Return the file that timm has just loaded the weights of a model from.

    None where they come from anywhere else, or where it is not clear.
    """
    from huggingface_hub import try_to_load_from_cache

    known = pretrained_cfg.get
    elsewhere = known("file") or known("state_dict") or known("custom_load")
    if elsewhere or not known("hf_hub_id") or os.environ.get("TIMM_USE_OLD_CACHE"):
        return None
    repository, _, revision = str(known("hf_hub_id")).partition("@")
    names = (str(known("hf_hub_filename")),) if known("hf_hub_filename") else _NAMES
    for name in names:
        if isinstance(try_to_load_from_cache(repository, name, revision=revision or None), str):
            return HubFile(repository, revision or None, name)
    return None


def newest_copy(file: HubFile) -> Path | None:
    """Return this machine's copy of a file, downloaded if the hub has a newer one, as timm does.

    None if it cannot be had.
    """
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(file.repository, file.name, revision=file.revision))
    except Exception:  # the hub's clients share no base class; loading the model says what is wrong
        return None
