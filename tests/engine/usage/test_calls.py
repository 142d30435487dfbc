import pytest

from pipeline.engine.usage import calls
from pipeline.engine.usage.calls import fixed_share


@pytest.mark.parametrize(
    ("fixed", "each", "images", "share"),
    [(3.0, 1.0, 9, 0.25), (0.0, 1.0, 4, 0.0), (2.0, 0.0, 2, 1.0)],
)
def test_what_a_step_takes_whatever_its_images(
    monkeypatch: pytest.MonkeyPatch, fixed: float, each: float, images: int, share: float
) -> None:
    now = iter([0.0, fixed + each + 5, 10.0, 10 + fixed + each])  # something else the first time
    monkeypatch.setattr(calls.time, "thread_time", lambda: next(now))
    found = fixed_share(fixed + each * images, images, lambda: None)
    assert found == pytest.approx(share)


def test_it_is_a_share_whatever_else_the_machine_does() -> None:
    assert fixed_share(1e-9, 4, lambda: sum(range(1000))) == 1
    assert fixed_share(1e9, 4, lambda: None) == 0
