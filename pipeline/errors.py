"""Errors a user meets. Each message says what is wrong and what to do next."""


class FlowatlasError(Exception):
    """Base of every error that a command prints as one line (exit code 1)."""


class ConfigError(FlowatlasError):
    """The configuration cannot be used; nothing has been started."""


class DatasetError(FlowatlasError):
    """The dataset cannot be listed or is empty."""


class UnsupportedModel(FlowatlasError):
    """The method cannot see this model exactly; the message names one that can."""


class RunConflict(FlowatlasError):
    """The run folder belongs to another configuration, or another driver holds it."""


class RunIncomplete(FlowatlasError):
    """A step needs units that are missing or do not verify."""


class QuarantineExceeded(FlowatlasError):
    """More images were quarantined than ``limits.quarantine`` allows."""


class UnitFailed(FlowatlasError):
    """A unit failed ``limits.attempts`` times."""


class GateClosed(FlowatlasError):
    """There are findings of a kind given to ``--fail-on``."""


class StoreFull(FlowatlasError):
    """The disk or bucket of the run takes nothing more; the run can go on when there is space."""


def first_line(error: BaseException) -> str:
    """Return what an error says without the pages of detail behind it, at most 300 characters."""
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__
