"""``create_flow``: methods by name."""

import inspect
from collections.abc import Callable
from typing import Any

from torch import nn

from pipeline.errors import ConfigError
from pipeline.flows.flow import Method
from pipeline.flows.heads import WithHeads
from pipeline.flows.methods.activation import Activation
from pipeline.flows.methods.attention import AttentionRows
from pipeline.flows.methods.fam import Fam
from pipeline.flows.methods.gradcam import GradCam, HiResCam, LayerCam
from pipeline.flows.methods.input_gradient import InputGradient
from pipeline.flows.methods.naflow import NaFlow
from pipeline.flows.methods.occlusion import Occlusion
from pipeline.flows.methods.projection import Projection
from pipeline.flows.methods.relevance import Relevance
from pipeline.flows.methods.rollout import Rollout
from pipeline.flows.methods.windowed_daam import daam
from pipeline.models import check_ready, unwrapped

METHODS: dict[str, Callable[..., Method]] = {
    "daam": daam,
    "naflow": NaFlow,
    "gradcam": GradCam,
    "hirescam": HiResCam,
    "layercam": LayerCam,
    "input_gradient": InputGradient,
    "occlusion": Occlusion,
    "attention": AttentionRows,
    "rollout": Rollout,
    "relevance": Relevance,
    "projection": Projection,
    "activation": Activation,
    "fam": Fam,
    "sfam": Fam,
}


def create_flow(name: str, model: nn.Module, heads: bool = False, **options: Any) -> Method:
    """Bind a method to a model; use the result as a context manager.

    Parameters
    ----------
    name
        A key of ``METHODS``.
    model
        A model in evaluation mode, every module of it; wrappers that compute the same
        (``DataParallel``, ``torch.compile``, …) are removed.
    heads
        Whether the flow's extras have the statistics of all attention heads, too:
        :class:`pipeline.flows.heads.WithHeads`.
    options
        The method's own options.

    Raises
    ------
    ConfigError
        There is no such method, or it has no such option.
    UnsupportedModel
        The method does not support this model exactly, or the model is not ready to be explained
        (see :func:`pipeline.models.check_ready`); the message names what would work.
    """
    if name not in METHODS:
        raise ConfigError(f"there is no flow.method {name!r}; use one of {', '.join(METHODS)}")
    method = METHODS[name]
    known = list(inspect.signature(method).parameters)[1:]
    if unknown := [option for option in options if option not in known]:
        raise ConfigError(
            f"flow.options: {name} has no option {unknown[0]!r}; "
            f"it has {', '.join(known) if known else 'none'}"
        )
    model = unwrapped(model)
    flow = method(model, **options)
    check_ready(model)
    return WithHeads(flow, model) if heads else flow
