import threading
from contextlib import ExitStack
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from pipeline.models.sharing import held, lock_of, of_this_thread


@given(st.permutations(range(3)), st.lists(st.booleans(), min_size=4, max_size=4))
def test_an_attribute_ends_as_it_began_in_whatever_order_its_holders_leave(order, before):
    owners = [SimpleNamespace(wanted=value) for value in before]
    holders = [ExitStack(), ExitStack(), ExitStack()]
    for holder, mine in zip(holders, (owners[:3], owners[1:], owners[:1]), strict=True):
        holder.enter_context(held(mine, "wanted", False))
    for index in order:
        assert not owners[0].wanted or index not in (0, 2)
        holders[index].close()
    assert [owner.wanted for owner in owners] == before


def test_an_error_gives_the_attribute_back():
    owner = SimpleNamespace(wanted=True)
    with pytest.raises(KeyError), held([owner], "wanted", False):
        raise KeyError
    assert owner.wanted


def test_a_model_has_one_lock_and_two_models_have_two():
    model = nn.Linear(2, 2)
    assert lock_of(model) is lock_of(model)
    assert lock_of(model) is not lock_of(nn.Linear(2, 2))


def test_a_hook_ignores_other_threads():
    calls = []
    hook = of_this_thread(calls.append)
    other = threading.Thread(target=hook, args=("there",))
    other.start()
    other.join()
    hook("here")
    assert calls == ["here"]
