"""Look for what turns images of other classes into a class, by transplanting, as a Ray job."""

from typing import Annotated

import typer

from pipeline.console.command import run_command, say
from pipeline.console.engines import Actors, Address, Local, chosen_engine


def screen(
    run: Annotated[str, typer.Argument(help="Folder or URL of an audited run.")],
    address: Address = None,
    actors: Actors = None,
    local: Local = False,
) -> None:
    """Put what some images of a class share onto others: does it turn them into the class?

    It may be something over the same pixels, wherever it lies, a detail that they repeat at other
    places, or a property of the whole image (colours and brightness, sharpness, compression,
    stripes, noise, margin). What works, and only some images of the class have, becomes a finding.
    """
    from pipeline.audit.run import audited
    from pipeline.audit.screening.findings import add_screened, screening_sentence
    from pipeline.audit.screening.screen import screen as look
    from pipeline.console.step_progress import shown
    from pipeline.steps import record_step
    from pipeline.store.reader import open_run

    opened = open_run(run)
    audited(opened)
    with chosen_engine(address, actors, local) as engine, shown("screen") as show:
        found = look(opened, engine, say, show)
    for row in found.to_pylist():
        if row["word"] != "nothing" and row["same_as"] is None:
            say(f"- {row['sentence']}")
    findings = add_screened(opened)
    record_step(opened, "screen")
    for finding in findings.to_pylist():
        if finding["kind"] == "screened":
            say(f"finding {finding['finding']}: {finding['class_name']}, {finding['place']}")
    say(screening_sentence(found, findings))


if __name__ == "__main__":
    run_command(screen)
