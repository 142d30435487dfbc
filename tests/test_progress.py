from concurrent.futures import ThreadPoolExecutor

from hypothesis import given
from hypothesis import strategies as st

from pipeline.progress import Progress


def test_work_is_counted_from_any_thread_and_shown_in_order() -> None:
    shown: list[tuple[int, int]] = []
    progress = Progress(lambda done, total: shown.append((done, total)))
    progress.plan(300)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: progress.add(3), range(100)))
    assert shown == [(3 * turn, 300) for turn in range(1, 101)]


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("plan"), st.integers(0, 50)),
            st.tuples(st.just("add"), st.integers(1, 50)),
        )
    )
)
def test_never_more_is_done_than_planned_and_nothing_is_undone(calls) -> None:
    shown: list[tuple[int, int]] = []
    progress = Progress(lambda done, total: shown.append((done, total)))
    for name, work in calls:
        getattr(progress, name)(work)
    assert all(0 < done <= total for done, total in shown)
    assert [done for done, _ in shown] == sorted({done for done, _ in shown})
