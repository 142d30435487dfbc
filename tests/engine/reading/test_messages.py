from hypothesis import given
from hypothesis import strategies as st

from pipeline.engine.reading.messages import Answer, Found, Request
from pipeline.images import Place

_MAYBE = st.none() | st.integers(0, 2**62)
_PLACES = st.builds(Place, st.text(), _MAYBE, _MAYBE)
_FOUND = st.builds(Found, st.none() | st.text(), _MAYBE, _MAYBE)


@given(st.integers(0, 99), st.integers(0, 9999), st.lists(_PLACES).map(tuple))
def test_requests_arrive_as_they_were(slot: int, first: int, places: tuple[Place, ...]) -> None:
    request = Request(slot, first, places)
    found = Request.from_bytes(request.to_bytes())
    assert found == request
    assert all(isinstance(place, Place) for place in found.places)


@given(
    st.lists(_FOUND | st.text().map(OSError)).map(tuple),
    st.dictionaries(st.text(), st.floats(0, 1e6)),
    st.integers(0, 2**50),
)
def test_answers_arrive_as_they_were(
    found: tuple[Found | Exception, ...], seconds: dict[str, float], memory: int
) -> None:
    answer = Answer.from_bytes(Answer(found, seconds, memory).to_bytes())
    assert (answer.seconds, answer.memory) == (seconds, memory)
    for one, other in zip(answer.found, found, strict=True):
        assert type(one) is type(other)
        assert one == other or one.args == other.args
