"""Find one of a run's atlases, its own or a named one, and one of its tables."""

import json

from pipeline.atlas.statistics.membership import TABLES
from pipeline.atlas.storage.layout import facts_path, folder_of
from pipeline.atlas.storage.reader import Atlas
from pipeline.errors import ConfigError, RunIncomplete
from pipeline.store import Run


def open_atlas(run: Run, table: str | None = None, name: str | None = None) -> Atlas:
    """Open the class statistics of a run.

    Parameters
    ----------
    table
        ``label``, ``predicted``, ``outcome``, or the column a named atlas was grouped by; the
        first that the atlas has if not given. The name of an atlas is understood too.
    name
        Name of the atlas; the run's own if not given.

    Raises
    ------
    ConfigError
        There is no such table.
    RunIncomplete
        The run was not aggregated, or without this table.
    """
    if table is not None and name is None and table not in TABLES:
        table, name = None, table
    folder = folder_of(name)
    command = f"flowatlas aggregate {run.uri}"
    try:
        facts = json.loads(run.read(facts_path(folder)))
    except FileNotFoundError:
        if name is None:
            raise RunIncomplete(f"{run.uri} has no atlas; make it with: {command}") from None
        raise ConfigError(
            f"{run.uri} has no table and no atlas {name!r}; tables are {', '.join(TABLES)}, and an "
            f"atlas is made with: {command} --name {name} (and --where or --by)"
        ) from None
    table = table or facts["tables"][0]
    if table not in facts["tables"]:
        raise RunIncomplete(f"{run.uri} has no atlas by {table}; make it with: {command}")
    return Atlas(run, folder, table, facts)


def choose_atlas(run: Run, name: str | None = None) -> Atlas:
    """Return the classes by label, or by prediction where no image is labelled.

    Of the run's own atlas, or of a named one; one of groups has nothing to choose from.

    Raises
    ------
    RunIncomplete
        The run was not aggregated.
    """
    if name is not None and (groups := open_atlas(run, name=name)).facts["by"] is not None:
        return groups
    try:
        atlas = open_atlas(run, "label", name)
    except RunIncomplete:
        return open_atlas(run, "predicted", name)
    return atlas if atlas.count.any() else open_atlas(run, "predicted", name)
