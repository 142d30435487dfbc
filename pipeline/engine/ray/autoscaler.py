"""``Demand``: requests nodes from the cluster's autoscaler for actors that have no room yet."""

from typing import Any

import ray
from ray.util import placement_group, remove_placement_group

from pipeline.engine.scheduling.share import Share

_MAX_REQUESTS = 64
"""Limit on open requests: the scheduler keeps retrying each one, and nodes join in tens."""


class Demand:
    """Requests room for actors; without an autoscaler the requests have no effect.

    Each request is a placement group of one actor's size. Unlike a standing request for resources
    it ends with its driver, so a killed driver leaves no idle nodes behind.
    """

    def __init__(self, share: Share) -> None:
        self._bundle = {"CPU": float(share.cpus)} | ({"GPU": share.gpus} if share.gpus else {})
        self._requested: dict[Any, Any] = {}

    def request(self, actors: int) -> None:
        """Request room for ``actors`` more actors; 0 withdraws all requests."""
        if self._requested:
            placed, _ = ray.wait(list(self._requested), num_returns=len(self._requested), timeout=0)
            for ready in placed:  # its node has joined; free the room for an actor
                remove_placement_group(self._requested.pop(ready))
        while len(self._requested) > actors:
            remove_placement_group(self._requested.popitem()[1])
        while len(self._requested) < min(actors, _MAX_REQUESTS):
            group = placement_group([self._bundle])
            self._requested[group.ready()] = group
