import json
from dataclasses import replace

import pytest

from pipeline.engine.inspection.inspection import Inspection
from pipeline.models import Outputs

FOUND = Inspection(
    method="daam",
    layers=("blocks.0", "blocks.1"),
    grid=(4, 5),
    extras=("token_norm",),
    logits=2,
    channels=0,
    targeted=True,
    outputs=Outputs("vit", 2, ("cat, kitty", "dog"), ("n01", "n02")),
    weights_sha256="ab",
    input={"size": [32, 40], "mean": [0.5, 0.5, 0.5]},
    independent=False,
    notes=("weights of the average",),
    code_version="flowatlas 1",
)


@pytest.mark.parametrize("found", [FOUND, replace(FOUND, outputs=Outputs("vit", 2), notes=())])
def test_it_comes_back_from_json_as_it_was(found: Inspection) -> None:
    assert Inspection.from_json(json.loads(json.dumps(found.to_json()))) == found


def test_what_another_version_wrote_is_refused() -> None:
    content = FOUND.to_json()
    with pytest.raises(TypeError):
        Inspection.from_json({**content, "more": 1})
    del content["grid"]
    with pytest.raises(KeyError):
        Inspection.from_json(content)
