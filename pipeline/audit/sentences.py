"""Sentences: one per finding, every number in it taken from the finding's own columns."""

from pipeline.audit.shortcut import Finding, Signal

KINDS = {
    "corner": "corner shortcut",
    "border": "border shortcut",
    "mass": "missing mass",
    "depth": "early convergence",
}

_TEMPLATES = {
    ("corner", "level"): "{name} looks at the {place}: a lift of {value} there, where the other "
    "classes have {control} (effect {effect}, {proof}).",
    ("corner", "tail"): "{name} has many images that look at the {place}: one in ten has a lift "
    "of at least {value} there, where other classes reach {control} (effect {effect}, {proof}).",
    ("mass", "level"): "{name} needs little evidence: where the model is confident the flow has a "
    "mass of {value}, where the other classes have {control} ({effect} times less; {proof}).",
    ("mass", "tail"): "{name} has many images with little evidence: where the model is confident "
    "one in ten has a mass below {value}, in the other classes below {control} ({effect} times "
    "less; {proof}).",
    ("depth", "level"): "{name} is settled early: its flow has converged at layer {value}, that "
    "of the other classes at {control} ({effect} layers earlier; {proof}).",
}


def sentence(finding: Finding, name: str) -> str:
    """Return the sentence of a finding about the class called ``name``."""
    signal = finding.headline
    kind = "corner" if signal.statistic.kind == "border" else signal.statistic.kind
    return _TEMPLATES[kind, signal.statistic.aspect].format(
        name=f"“{name}”",
        place=signal.statistic.place,
        value=f"{signal.value:.3g}",
        control=f"{signal.control:.3g}",
        effect=f"{signal.effect:.2g}",
        proof=_proof(signal),
    )


def _proof(signal: Signal) -> str:
    return f"z = {signal.z:.1f}, q = {signal.q:.1g}, {signal.images} images"
