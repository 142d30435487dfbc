from hypothesis import given
from hypothesis import strategies as st

from pipeline.engine.reading.messages import Answer, Found, Request
from pipeline.images import Place

_MAYBE = st.none() | st.integers(0, 2**62)
_PLACES = st.builds(Place, st.text(), _MAYBE, _MAYBE)
_FOUND: st.SearchStrategy[Found] = st.tuples(st.none() | st.text(), _MAYBE, _MAYBE)


@given(st.integers(0, 99), st.integers(0, 9999), st.lists(_PLACES).map(tuple))
def test_requests_arrive_as_they_were(slot: int, first: int, places: tuple[Place, ...]) -> None:
    request = Request(slot, first, places)
    found = Request.from_bytes(request.to_bytes())
    assert found == request
    assert all(isinstance(place, Place) for place in found.places)


@given(
    st.lists(_FOUND),
    st.dictionaries(st.text(), st.floats(0, 1e6)),
    st.integers(0, 2**50),
    st.none() | st.text().map(OSError),
)
def test_answers_arrive_as_they_were(
    found: list[Found], seconds: dict[str, float], memory: int, error: OSError | None
) -> None:
    answer = Answer.from_bytes(Answer(found, seconds, memory, error).to_bytes())
    assert answer[:3] == (found, seconds, memory)
    assert type(answer.error) is type(error)
    assert error is None or (answer.error is not None and answer.error.args == error.args)
