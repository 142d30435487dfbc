"""The steps from flows to report, in order; each is skipped where it is done.

A step's inputs determine its output. So a step is done if its output exists and its inputs have not
changed since; the run stores a hash of the inputs of every step. What a step needs is imported when
it is taken, so that a run of which all is done says so at once.
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass
from functools import cache, partial

from pipeline.atlas.storage.layout import facts_path, folder_of
from pipeline.audit.findings_table import CONFIRMATIONS, SANITY, SCREENING
from pipeline.config import content_hash
from pipeline.engine import Engine, OnDemand
from pipeline.errors import FlowatlasError
from pipeline.nouns import counted
from pipeline.progress import Show, unseen
from pipeline.store import Run
from pipeline.store.layout import MANIFEST
from pipeline.store.reader import FINDINGS

STEPS = "steps.json"
"""Step → hash of its inputs when the step ended."""

OpenEngine = Callable[[], AbstractContextManager[Engine]]

StepShow = Callable[[str, int, int], None]
"""Called with a step, what is done of it and of how much; both 0 when it begins."""


@dataclass(frozen=True)
class Step:
    """One step: the objects it reads, the one it writes last, and its function.

    ``reads`` are paths, or prefixes that end in ``/``. ``work`` returns a sentence on the
    result. An ``optional`` step may be impossible for a run (one class only, or a model that cannot
    be loaded); its error is then the sentence.
    """

    name: str
    reads: tuple[str, ...]
    output: str
    work: Callable[[Run, OpenEngine, Show], str]
    optional: bool = False
    computes: bool = False
    """It runs the model, on an engine; GPUs are given back before a step that does not."""


@dataclass(frozen=True)
class Outcome:
    """The result of a step, as a sentence; ``skipped`` if it was done before."""

    step: str
    sentence: str
    skipped: bool = False


def _aggregate(run: Run, _: OpenEngine, show: Show) -> str:
    from pipeline.atlas import aggregate

    aggregate(run, on_progress=show)
    return "class statistics written"


def _audit(run: Run, _: OpenEngine, show: Show) -> str:
    from pipeline.audit import audit
    from pipeline.audit.screening.findings import add_screened

    audit(run, on_progress=show)
    findings = add_screened(run, with_verdicts=False)
    return counted(findings.num_rows, "finding")


def _baselines(run: Run, _: OpenEngine, show: Show) -> str:
    from pipeline.audit.sanity import check_sanity

    sentences = check_sanity(run, on_progress=show)["sentence"].to_pylist()
    return sentences[0] if sentences else "no baselines"


def _screen(run: Run, open_engine: OpenEngine, show: Show) -> str:
    from pipeline.audit.screening.findings import add_screened, screening_sentence
    from pipeline.audit.screening.screen import screen

    with open_engine() as engine:
        parts = screen(run, engine, on_progress=show)
    return screening_sentence(parts, add_screened(run))


def _confirm(run: Run, open_engine: OpenEngine, show: Show) -> str:
    from pipeline.audit.causal.confirm import confirm
    from pipeline.audit.screening.findings import add_screened

    with open_engine() as engine:
        verdicts = confirm(run, engine, on_progress=show)
    add_screened(run)
    tested = verdicts.num_rows
    return f"{counted(tested, 'place')} tested" if tested else "no place to test"


def _report(run: Run, _: OpenEngine, show: Show) -> str:
    from pipeline.report import write_report

    return f"{run.uri.rstrip('/')}/{write_report(run, show)}"


_ATLAS = facts_path(folder_of(None))

AFTER_FLOWS = (
    Step("aggregate", (MANIFEST,), _ATLAS, _aggregate),
    Step("audit", (MANIFEST, _ATLAS), FINDINGS, _audit),
    Step("baselines", (MANIFEST,), SANITY, _baselines, optional=True),
    Step("screen", (MANIFEST, _ATLAS), SCREENING, _screen, optional=True, computes=True),
    Step("confirm", (MANIFEST, FINDINGS), CONFIRMATIONS, _confirm, optional=True, computes=True),
    Step("report", (MANIFEST, _ATLAS, "audit/"), "report/index.html", _report),
)
"""Everything after the flows, in order."""


def refresh_report(run: Run, show: Show = unseen) -> str:
    """Write the report of a run again; return a sentence with its path. The step is then done."""
    return _do(run, AFTER_FLOWS[-1], _no_engine, show)


def record_step(run: Run, name: str) -> None:
    """Remember that a step was done by a command of its own, with its options; it is then done."""
    _record(run, next(step for step in AFTER_FLOWS if step.name == name))


def _no_step(step: str, done: int, total: int) -> None:
    """Show no progress."""


def explain_run(
    run: Run, open_engine: OpenEngine, on_progress: StepShow = _no_step
) -> Iterator[Outcome]:
    """Run the remaining steps after the flows, in order; yield the outcome of each.

    Parameters
    ----------
    run
        A finished run.
    open_engine
        Opens the engine on which suspected places are tested; called once, if there are any.
    on_progress
        Called when a step begins, and as it goes on where that is known.

    Raises
    ------
    RunIncomplete
        The run is not finished.
    """
    run.require_finished()
    with ExitStack() as engines:
        open_once = _open_once(open_engine, engines)
        for step in AFTER_FLOWS:
            if not step.computes:
                engines.close()
            if run.exists(step.output) and _notes(run).get(step.name) == _hash(run, step):
                yield Outcome(step.name, "done earlier", skipped=True)
                continue
            try:
                on_progress(step.name, 0, 0)
                sentence = _do(run, step, open_once, partial(on_progress, step.name))
            except FlowatlasError as error:
                if not step.optional:
                    raise
                yield Outcome(step.name, f"skipped: {error}")
                continue
            yield Outcome(step.name, sentence)


def _open_once(open_engine: OpenEngine, stack: ExitStack) -> OpenEngine:
    """Return what gives an engine, opened when it is needed and kept; the stack closes it."""

    @cache
    def engine() -> Engine:
        stack.callback(engine.cache_clear)
        return stack.enter_context(open_engine())

    return lambda: nullcontext(OnDemand(engine))


def _do(run: Run, step: Step, open_engine: OpenEngine, show: Show) -> str:
    """Do a step and remember what it read; return its sentence."""
    sentence = step.work(run, open_engine, show)
    _record(run, step)
    return sentence


def _record(run: Run, step: Step) -> None:
    notes = _notes(run) | {step.name: _hash(run, step)}
    run.write(STEPS, json.dumps(notes, indent=1, sort_keys=True).encode())


def _no_engine() -> AbstractContextManager[Engine]:
    raise AssertionError("this step computes nothing on an engine")


def _hash(run: Run, step: Step) -> str:
    """Return the hash of a step's inputs: the run itself, and the objects with their content."""
    paths = [
        path
        for read in step.reads
        for path in (run.list(read.rstrip("/")) if read.endswith("/") else [read])
        if run.exists(path)
    ]
    content = [[path, hashlib.blake2b(run.read(path)).hexdigest()] for path in paths]
    return content_hash([run.spec.hash, content])


def _notes(run: Run) -> dict[str, str]:
    try:
        notes = json.loads(run.read(STEPS))
    except (FileNotFoundError, ValueError):
        return {}
    return notes if isinstance(notes, dict) else {}
