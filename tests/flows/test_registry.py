import pytest

from pipeline.errors import ConfigError
from pipeline.flows import create_flow
from tests.flows.reference import small


def test_an_unknown_method_names_the_known_ones():
    with pytest.raises(ConfigError, match=r"no flow\.method 'damm'; use one of daam"):
        create_flow("damm", small())


def test_an_unknown_option_is_refused():
    with pytest.raises(ConfigError, match="daam has no option 'gamma'"):
        create_flow("daam", small(), gamma=1)
