"""``chosen_precision``: what ``flow.precision: auto`` is on this machine. Needs no torch."""

import os
import shutil
import subprocess
from contextlib import suppress

from pipeline.config import RunConfig
from pipeline.errors import FlowatlasError
from pipeline.store import load_spec, open_store

ROBUST = ("daam", "attention", "rollout", "relevance", "activation")
"""Methods whose accumulated flow has a rank correlation of at least 0.999 with float32's on
photographs: see the tables of ``pipeline/flows/README.md``."""

_LEAST_CAPABILITY = 8.0
"""CUDA's compute capability from which a GPU computes in bfloat16 by itself (Ampere)."""


def chosen_precision(config: RunConfig) -> RunConfig:
    """Return the configuration with ``flow.precision: auto`` replaced; its method must be named.

    A run keeps what it was started with, wherever it is resumed.
    """
    if config.flow.precision != "auto":
        return config
    chosen = {name: _with(config, name) for name in ("float32", "bfloat16")}
    with suppress(FlowatlasError):  # there is no run yet
        begun = load_spec(open_store(config.run)).config_hash
        for one in chosen.values():
            if one.hash() == begun:
                return one
    fast = config.flow.method in ROBUST and config.cluster.gpus_per_actor != 0 and _has_bfloat16()
    return chosen["bfloat16" if fast else "float32"]


def _with(config: RunConfig, precision: str) -> RunConfig:
    flow = config.flow.model_copy(update={"precision": precision})
    return config.model_copy(update={"flow": flow})


def _has_bfloat16() -> bool:
    """Return whether all GPUs here compute in bfloat16; their driver says so, and none is held."""
    program = shutil.which("nvidia-smi")
    if program is None or os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return False
    command = [program, "--query-gpu=compute_cap", "--format=csv,noheader"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
        capabilities = [float(line) for line in found.stdout.split()]
    except (OSError, subprocess.SubprocessError, ValueError):
        return False
    return bool(capabilities) and min(capabilities) >= _LEAST_CAPABILITY
