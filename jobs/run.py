"""Everything from images to report in one command; run it again to resume."""

import re
import time
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Annotated

import typer
import yaml

from jobs.flows import STOPPED, compute
from pipeline.config import RunConfig
from pipeline.console.command import console, run_command, say, terminable
from pipeline.console.configuration import is_configuration, read_configuration
from pipeline.errors import ConfigError
from pipeline.store.objects import is_run


def run(
    config: Annotated[
        str,
        typer.Argument(
            help="A YAML configuration, a run of it, or images: a folder, table, archive, URL."
        ),
    ],
    model: Annotated[
        str | None, typer.Option(help="The model's name in timm, if images are given.")
    ] = None,
    weights: Annotated[
        str | None, typer.Option(help="Weights of --model: a file, or pretrained.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="Folder of the run, if images are given.")
    ] = None,
) -> None:
    """Compute flows, aggregate, audit, test suspected places, and write the report.

    Steps that are done are skipped. Given images instead of a configuration, a configuration is
    written next to the run, to be edited and used again.
    """
    settings = _settings(config, model, weights, output)
    compute(settings)
    explain(settings)


def explain(settings: RunConfig) -> None:
    """Run the steps after the flows; print each outcome, the first finding and its verdict.

    Ctrl-C or SIGTERM stops them; steps that are done are kept.
    """
    try:
        with terminable() as check:
            _explain(settings, check)
    except KeyboardInterrupt:
        say(STOPPED)
        raise typer.Exit(1) from None


def _explain(settings: RunConfig, check: Callable[[], None]) -> None:
    from pipeline.audit.findings_table import CONFIRMATIONS
    from pipeline.console.step_progress import StepProgress
    from pipeline.engine.run import open_engine
    from pipeline.report import ANSWER
    from pipeline.steps import explain_run
    from pipeline.store.reader import open_run

    opened, begin = open_run(settings.run), time.monotonic()
    with StepProgress(console) as progress:
        for outcome in explain_run(opened, lambda: open_engine(settings), progress):
            progress.end()
            seconds = time.monotonic() - begin
            took = "" if outcome.skipped else f" ({seconds:.0f} s)"
            say(f"{outcome.step}: {outcome.sentence}{took}")
            check()
            begin = time.monotonic()
    findings = opened.findings()
    if findings.num_rows:
        say(f"first finding: {findings['sentence'][0].as_py()}")
    if opened.exists(CONFIRMATIONS):
        tested = opened.table(CONFIRMATIONS)
        proven = tested.filter(tested["finding"].is_valid())  # the others are places, not findings
        for sentence in proven["sentence"].to_pylist()[:1]:
            say(f"put to the test: {sentence}")
    say(opened.read(ANSWER).decode())
    say(f"open {opened.uri.rstrip('/')}/report/index.html")


def _settings(given: str, model: str | None, weights: str | None, output: Path | None) -> RunConfig:
    """Return the settings of a configuration or a run, or those written for given images."""
    if is_configuration(given) or (model is None and is_run(given)):
        if model or weights or output:
            raise typer.BadParameter(
                "--model, --weights and --output are for images; a configuration sets its own"
            )
        return read_configuration(given)
    if model is None:
        raise typer.BadParameter(
            f"{given} is neither a .yaml file nor a run; for images, add --model NAME"
        )
    return read_configuration(str(_write_configuration(given, model, weights, output)))


def _write_configuration(given: str, model: str, weights: str | None, output: Path | None) -> Path:
    """Write a configuration for images, beside its run; return its path."""
    parts = [part for part in PurePosixPath(given).parts if part.strip("./\\:")]
    stem = "-".join(re.sub(r"[^\w.]+", "_", part) for part in [*parts[-2:], model])
    place = output or Path("runs") / stem
    content = {
        "run": str(place if place.is_absolute() else place.name),
        "dataset": {"source": given if "://" in given else str(Path(given).resolve())},
        "model": {"name": model} | ({"weights": weights} if weights else {}),
        "flow": {"method": "auto"},
    }
    path = place.with_name(f"{place.name}.yaml")
    text = yaml.safe_dump(content, sort_keys=False)
    if path.exists() and path.read_text(encoding="utf-8") != text:
        raise ConfigError(
            f"{path} already exists with other settings: flowatlas run {path} uses it; "
            "choose another --output for the new ones"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    say(f"configuration: {path}")
    return path


if __name__ == "__main__":
    run_command(run)
