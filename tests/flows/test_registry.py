import doctest
import inspect

import pytest
import timm
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from pipeline.errors import ConfigError, UnsupportedModel
from pipeline.flows import accumulate, create_flow
from pipeline.flows.registry import METHODS
from tests.flows.reference import small


def test_an_unknown_method_names_the_known_ones():
    with pytest.raises(ConfigError, match=r"no flow\.method 'damm'; use one of daam"):
        create_flow("damm", small())


def test_an_unknown_option_is_refused():
    with pytest.raises(ConfigError, match="daam has no option 'gamma'"):
        create_flow("daam", small(), gamma=1)


def test_a_head_added_after_eval_is_refused_before_it_changes_anything():
    model = small().eval()
    model.head = nn.Sequential(nn.BatchNorm1d(24), nn.Dropout(), nn.Linear(24, 5))
    with pytest.raises(UnsupportedModel, match=r"head, head\.0, head\.1 and 1 more are"):
        create_flow("daam", model)
    assert not model.head[0].num_batches_tracked


def test_wrappers_are_taken_off():
    model, images = small().eval(), torch.randn(2, 3, 24, 40)
    with create_flow("daam", model) as flow:
        expected = flow(images)
    for wrapped in (nn.DataParallel(model), torch.compile(model), AveragedModel(model)):
        with create_flow("daam", wrapped.eval()) as flow:
            assert torch.equal(flow(images).maps, expected.maps)


@pytest.mark.parametrize("method", METHODS)
def test_the_example_of_every_method_runs(method):
    known = {
        "create_flow": create_flow,
        "accumulate": accumulate,
        "images": torch.randn(2, 3, 24, 40),
        "features": torch.randn(6, 24),
        "labels": torch.arange(6) % 2,
        "model": small(),
    }
    if method == "naflow":
        known["model"] = timm.create_model("test_resnet", num_classes=3).eval()
    example = doctest.script_from_examples(inspect.getdoc(METHODS[method]) or "")
    assert f'create_flow("{method.replace("sfam", "fam")}"' in example
    exec(example, known)
    shown = known.keys() & {"maps", "total", "pixels", "result"}
    assert len(shown) == 1
