"""What a pool asks of the cluster's autoscaler: nodes for the actors that have no room yet."""

from typing import Any

import ray
from ray.util import placement_group, remove_placement_group

from pipeline.engine.ray.nodes import Share

_AT_ONCE = 64
"""The scheduler tries every request again and again; nodes come in tens, not in thousands."""


class Demand:
    """Asks for room for actors; where nothing scales the cluster, it asks in vain.

    Each request is a placement group of one actor's size. Unlike a standing request for resources
    it ends with its driver: one that is killed leaves no idle nodes behind.
    """

    def __init__(self, share: Share) -> None:
        self._bundle = {"CPU": float(share.cpus)} | ({"GPU": share.gpus} if share.gpus else {})
        self._asked: dict[Any, Any] = {}

    def ask(self, actors: int) -> None:
        """Ask for room for so many actors more than there is; 0 withdraws what was asked."""
        if self._asked:
            placed, _ = ray.wait(list(self._asked), num_returns=len(self._asked), timeout=0)
            for ready in placed:  # its node has come, and the room on it is an actor's
                remove_placement_group(self._asked.pop(ready))
        while len(self._asked) > actors:
            remove_placement_group(self._asked.popitem()[1])
        while len(self._asked) < min(actors, _AT_ONCE):
            group = placement_group([self._bundle])
            self._asked[group.ready()] = group
