"""Checkpoints of trainers: which of a file's tensors are the model's weights.

A training checkpoint may hold more than one set of weights and much else. Like timm, we evaluate
the exponential moving average where there is one, and print that. Files are never unpickled freely:
besides tensors only plain containers, settings (``argparse.Namespace``), paths and numpy's numbers
are read.
"""

import argparse
import hashlib
import pathlib
import pickle
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from timm.models import clean_state_dict
from torch import Tensor

from pipeline.errors import ConfigError

State = dict[str, Tensor]

_AVERAGED = ("state_dict_ema", "model_ema", "ema_state_dict", "ema")
_PLAIN = ("state_dict", "model", "model_state_dict", "module", "net", "network", "weights")
_SCALAR: Any = np.float64(0).__reduce__()[0]
"""Reconstructs numpy's numbers; its module differs between versions."""
_HARMLESS: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [
    argparse.Namespace,
    pathlib.PosixPath,
    np.dtype,
    (_SCALAR, "numpy._core.multiarray.scalar"),
    (_SCALAR, "numpy.core.multiarray.scalar"),  # numpy 1
    *(type(np.dtype(kind)) for kind in ("f2", "f4", "f8", "i4", "i8", "bool")),
]
_UNSAFE = re.compile(r"GLOBAL ([\w.]+)")
_ESCAPE = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class Checkpoint:
    """The tensors of a file that are a model's weights, without prefixes of wrappers.

    ``sha256`` is that of the file's bytes, together with ``key`` where the file has other weights
    too. ``key`` is where in the file they are, "" if the file holds nothing else; ``prefix`` is
    what was removed from their names.
    """

    path: Path
    state: State
    sha256: str
    key: str = ""
    prefix: str = ""
    others: tuple[str, ...] = ()
    unused: int = 0

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences on what was chosen, where there was a choice."""
        chosen = "EMA weights" if _is_averaged(self.key or self.prefix) else "weights"
        where = f" ({self.key})" if self.key else ""
        sentences = []
        if self.others:
            sentences.append(
                f"{chosen}{where} of {self.path.name}, not {', '.join(self.others)}; "
                "model.weights_key chooses others"
            )
        if self.prefix:
            rest = f", {self.unused} other tensors left out" if self.unused else ""
            sentences.append(f"weights under {self.prefix}* of {self.path.name}{rest}")
        return tuple(sentences)

    def fitted(self, wanted: Collection[str]) -> "Checkpoint":
        """Return the tensors named ``wanted`` if all of them are there under one prefix.

        A trainer's module holds the network like that (Lightning's ``model.``). Averaged weights
        are preferred.

        Raises
        ------
        ConfigError
            Several prefixes fit, and none or several of them are averaged weights.
        """
        if not wanted or set(wanted) <= self.state.keys():
            return self
        first = next(iter(wanted))
        found = [name.removesuffix(first) for name in self.state if name.endswith("." + first)]
        found = [p for p in found if all(p + name in self.state for name in wanted)]
        chosen = [p for p in found if _is_averaged(p)] if len(found) > 1 else found
        if not found:
            return self
        if len(chosen) != 1:
            raise ConfigError(
                f"{self.path} holds weights of the model under {', '.join(sorted(found))}; "
                "save the ones you want in a separate file"
            )
        state = {name: self.state[chosen[0] + name] for name in wanted}
        unused = len(self.state) - len(state)
        return replace(self, state=state, prefix=chosen[0], unused=unused)


def read_checkpoint(path: Path, key: str | None = None) -> Checkpoint:
    """Read the weights of a ``.safetensors`` or a pickled file, which runs no code.

    Parameters
    ----------
    path
        A local file.
    key
        Which of a checkpoint's dictionaries of tensors to take; by default the averaged weights
        (``state_dict_ema``, ``model_ema``), else ``state_dict``, ``model`` or the only one.

    Raises
    ------
    ConfigError
        There is no such file or key, the file needs code to load, or the choice is ambiguous.
    """
    if not path.is_file():
        raise ConfigError(f"model.weights: there is no file {path}; give a local file")
    with path.open("rb") as stream:
        sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
    content = _content(path)
    if _is_state(content):
        if key is not None:
            raise ConfigError(f"model.weights_key: {path} contains only weights; remove it")
        return Checkpoint(path, _clean(content), sha256)
    states = _states(content)
    if not states:
        raise ConfigError(f"{path} holds no dictionary of tensors; save model.state_dict()")
    chosen = _choose(path, states, key)
    others = tuple(name for name in states if name != chosen)
    if others and chosen not in _PLAIN[:2]:
        sha256 = hashlib.sha256(f"{sha256} {chosen}".encode()).hexdigest()
    return Checkpoint(path, _clean(states[chosen]), sha256, key=chosen, others=others)


def _content(path: Path) -> Any:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        with torch.serialization.safe_globals(_HARMLESS):
            return torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        what = first_line(error)
        if unsafe := _UNSAFE.search(str(error)):
            what = f"it contains a {unsafe.group(1)} object, which would run code when loaded"
        raise ConfigError(
            f"{path} does not load as plain tensors ({what}); save its state_dict, or convert it "
            "to .safetensors in a place you trust"
        ) from error


def _is_state(content: Any) -> bool:
    return (
        isinstance(content, Mapping)
        and bool(content)
        and all(isinstance(name, str) for name in content)
        and all(isinstance(value, Tensor) for value in content.values())
    )


def _states(content: Any, within: str = "") -> dict[str, State]:
    """Return the dictionaries of tensors in a checkpoint, two levels deep, by their keys."""
    found: dict[str, State] = {}
    for name, value in content.items() if isinstance(content, Mapping) else ():
        if _is_state(value):
            found[f"{within}{name}"] = dict(value)
        elif isinstance(value, Mapping) and not within and isinstance(name, str):
            found |= _states(value, f"{name}.")
    return {name: state for name, state in found.items() if not name.startswith("optim")}


def _choose(path: Path, states: Mapping[str, State], key: str | None) -> str:
    """Return the key of the weights that are evaluated."""
    if key is not None:
        if key not in states:
            raise ConfigError(
                f"model.weights_key: {path} holds no {key!r}; it has {', '.join(states)}"
            )
        return key
    for name in (*_AVERAGED, *_PLAIN):
        if fitting := [known for known in states if known.split(".")[0] == name]:
            return next((known for known in fitting if _is_averaged(known)), fitting[0])
    if len(states) > 1:
        raise ConfigError(
            f"{path} holds several sets of weights ({', '.join(states)}); "
            "choose one with model.weights_key"
        )
    return next(iter(states))


def _is_averaged(name: str) -> bool:
    return any(word in ("ema", "averaged", "swa") for word in re.split(r"[._]", name))


def _clean(state: Mapping[str, Tensor]) -> State:
    """Remove the wrappers' ``module.`` and ``_orig_mod.``, and the counter of an average."""
    cleaned: State = clean_state_dict(dict(state))
    if any(name.startswith("module.") for name in state):
        cleaned.pop("n_averaged", None)
    return cleaned


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, without colours."""
    lines = _ESCAPE.sub("", str(error)).strip().splitlines()
    return lines[0].removesuffix(".") if lines else type(error).__name__
