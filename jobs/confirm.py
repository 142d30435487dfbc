"""Test whether a model uses the shortcuts it is suspected of, as a Ray job."""

from typing import Annotated

import typer

from pipeline.console.command import run_command, say
from pipeline.console.engines import Actors, Address, Local, chosen_engine


def confirm(
    run: Annotated[str, typer.Argument(help="Folder or URL of an audited run.")],
    address: Address = None,
    actors: Actors = None,
    local: Local = False,
    leads: Annotated[
        int, typer.Option(min=0, help="Places to test that only a few images look at; 0: none.")
    ] = 16,
) -> None:
    """Paste and erase every suspected place to test whether the model uses it.

    Places that too few images look at for statistics are tested too; those used become findings.
    """
    from pipeline.audit.causal.confirm import confirm as test
    from pipeline.audit.screening.findings import add_screened
    from pipeline.console.step_progress import shown
    from pipeline.steps import record_step
    from pipeline.store.reader import open_run

    opened = open_run(run)

    def show(sentence: str) -> None:
        say(f"- {sentence}")

    with chosen_engine(address, actors, local) as engine, shown("confirm") as on_progress:
        found = test(opened, engine, show, leads, on_progress)
    findings = add_screened(opened)
    record_step(opened, "confirm")
    for finding in findings.to_pylist():
        if finding["kind"] == "lead":
            say(f"finding {finding['finding']}: {finding['sentence']}")
    if not found.num_rows:
        say("no finding or lead names a place: nothing to test")


if __name__ == "__main__":
    run_command(confirm)
