"""Look for shortcuts and faults in a run's atlas."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.console.command import run_command, say, usage
from pipeline.errors import FlowatlasError

if TYPE_CHECKING:
    from pipeline.store import Run


class Format(StrEnum):
    """Output format of findings."""

    TEXT = "text"
    MARKDOWN = "markdown"
    JSON = "json"
    CSV = "csv"


def audit(
    run: Annotated[str, typer.Argument(help="Folder or URL of an aggregated run.")],
    output: Annotated[
        Format, typer.Option("--format", help="How findings are printed.")
    ] = Format.TEXT,
    fail_on: Annotated[
        str,
        typer.Option(
            help="Exit with 1 if there is a finding of these kinds, e.g. shortcut,fault "
            "(shortcut includes rare ones and confirmed leads; any: all kinds)."
        ),
    ] = "",
    properties: Annotated[
        int,
        typer.Option(
            min=0,
            help="Images of each class to read for brightness, compression and the like; 0: none.",
        ),
    ] = 48,
    sanity: Annotated[
        int, typer.Option(min=0, help="Images for the baselines, which need the model; 0: none.")
    ] = 32,
) -> None:
    """Turn a run's atlas into findings, the most severe first."""
    from pipeline.atlas import choose_atlas
    from pipeline.audit import audit as find
    from pipeline.audit.formats import FORMATS
    from pipeline.audit.gate import AUDITED, Gate
    from pipeline.audit.screening.findings import add_screened
    from pipeline.audit.shortcuts.sensitivity import REACH, sensitivity_sentence
    from pipeline.audit.weighting import weights_sentence
    from pipeline.console.step_progress import shown
    from pipeline.steps import record_step
    from pipeline.store.reader import open_run

    with usage("--fail-on"):
        gate = Gate.of(fail_on, AUDITED)
    opened = open_run(run)
    with shown("audit") as show:
        find(opened, properties, show)
    findings = add_screened(opened, with_verdicts=False)
    record_step(opened, "audit")
    say(FORMATS[output](findings))
    if sentence := weights_sentence(choose_atlas(opened)):
        typer.echo(f"atlas: {sentence}", err=True)
    typer.echo(f"detection sensitivity: {sensitivity_sentence(opened.table(REACH))}", err=True)
    if sanity:
        _print_sanity(opened, sanity)
    gate.check(findings)


def _print_sanity(run: "Run", images: int) -> None:
    """Print the baselines to stderr; stdout holds only the findings, for programs."""
    from pipeline.audit.sanity import check_sanity
    from pipeline.console.step_progress import shown
    from pipeline.steps import record_step

    try:
        with shown("baselines") as show:
            sentences = check_sanity(run, images, on_progress=show)["sentence"].to_pylist()
        record_step(run, "baselines")
    except FlowatlasError as error:
        sentences = [f"no baselines: {error}"]
    for sentence in sentences:
        typer.echo(f"baseline: {sentence}", err=True)


if __name__ == "__main__":
    run_command(audit)
