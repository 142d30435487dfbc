"""``flowatlas``: all commands under one name."""

import typer

from jobs.aggregate import aggregate
from jobs.audit import audit
from jobs.benchmark import benchmark
from jobs.compare import compare
from jobs.confirm import confirm
from jobs.demo import demo
from jobs.evaluate import evaluate
from jobs.export import export
from jobs.flows import flows
from jobs.labels import labels
from jobs.model import model
from jobs.pairs import pairs
from jobs.plan import plan
from jobs.probe import probe
from jobs.report import report
from jobs.run import run
from jobs.screen import screen
from jobs.submit import submit
from jobs.verify import verify
from pipeline.console.command import debuggable, run_app

app = typer.Typer(
    name="flowatlas",
    help="What a vision model looks at, over a whole dataset.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)
for command in (
    demo,
    run,
    labels,
    model,
    plan,
    benchmark,
    flows,
    submit,
    aggregate,
    audit,
    screen,
    confirm,
    probe,
    evaluate,
    pairs,
    compare,
    report,
    export,
    verify,
):
    app.command()(debuggable(command))


def main() -> None:
    """Entry point of the ``flowatlas`` program."""
    run_app(app)


if __name__ == "__main__":
    main()
