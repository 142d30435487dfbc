"""``aggregate``: fold a run into its atlas. Every map is read once, every pooled map once more."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Literal

from pipeline.atlas import state, tasks
from pipeline.atlas.channels import write_channels
from pipeline.atlas.commonness.weights import COMMONNESS, write_commonness
from pipeline.atlas.fold import fold, is_distributed
from pipeline.atlas.ordering import order_of
from pipeline.atlas.request import Order, Target
from pipeline.atlas.state import State
from pipeline.atlas.statistics import pooled
from pipeline.atlas.statistics.membership import TABLES
from pipeline.atlas.statistics.rates import tables_of
from pipeline.atlas.storage import checkpoint, layout, parquet
from pipeline.atlas.storage.layout import POOLED, STATE, TYPICAL
from pipeline.atlas.storage.writer import write_tables
from pipeline.errors import ConfigError, RunIncomplete
from pipeline.progress import Progress, Show
from pipeline.store import Run, Unit, valid_receipts


def aggregate(
    run: Run,
    tables: Sequence[str] | None = None,
    workers: int | None = None,
    k: int = 16,
    *,
    where: str | None = None,
    by: str | None = None,
    per: Literal["label", "predicted"] | None = None,
    name: str | None = None,
    target: Target = "predicted",
    weights: Literal["commonness"] | None = None,
    partial_run: bool = False,
    on_progress: Show | None = None,
) -> None:
    """Write the class statistics of a run under ``atlas/``, replacing those of an earlier call.

    The files are the same bytes for any number of workers, any order of the units and any number
    of repeated tasks, and whether they were folded at once or as the run grew.

    Parameters
    ----------
    tables
        ``label``, ``predicted``, ``outcome``: which images belong to a class. By default all that
        the rows of the run are complete for: where images have several labels and
        ``flow.target`` is ``label``, those by label, where it is ``predicted``, that by prediction.
    workers
        Threads of this machine; None uses an active ``distributed`` client, or else one thread per
        processor. Two in three of them hold about ``32 * cells * layers * grid`` bytes each,
        where cells counts the classes, those with wrong predictions twice and wrongly predicted
        ones once more; each of these has one more thread that reads ahead.
    k
        How many most and least typical images of each class are kept.
    where
        Filter on columns of the summary and the index (see :mod:`pipeline.atlas.filter`).
    by
        A column of the summary or the index whose values are the groups, instead of ``tables``.
    per
        Divides the groups of ``by`` by this class too: one row per class and value.
    name
        Name of the atlas; ``by`` if not given. One with ``where`` or another ``target`` needs it.
    target
        Which maps to use: the run's own, or those of the ``label`` that a run with
        ``flow.target: both`` has in addition. Columns of the summary are the same.
    weights
        ``commonness``: an image with n near duplicates, itself included, counts 1/n everywhere
        (see :mod:`pipeline.atlas.commonness`).
    partial_run
        Fold the finished units of an unfinished run. Their sums are kept, so that a later call
        reads only the units added since.
    on_progress
        Called as rows are folded in threads of this process; not with a ``distributed`` client.

    Raises
    ------
    RunIncomplete
        The run is not finished (or, with ``partial_run``, has no unit at all), it has no maps of
        the label, or nothing that shows which images are near duplicates.
    ConfigError
        A table or a column is unknown, the filter is not valid or no image passes it, there would
        be too many groups, ``per`` has no ``by``, ``weights`` are asked of an unfinished run, or
        ``k`` or ``workers`` is below 1.
    FlowatlasError
        A class has too many images for exact sums, or a label is not a class of the model.
    """
    complete = tables_of(run.spec)
    tables = complete if tables is None else tables
    _check(tables, workers, k, where, by, per, name)
    if by is None and (lacking := [table for table in tables if table not in complete]):
        raise ConfigError(
            f"{run.uri} explains, of images with several labels, outputs by "
            f"{run.config.flow.target}, and has no complete rows by {', '.join(lacking)}; "
            f"choose {', '.join(complete)}"
        )
    if target == "label":
        if name is None:
            raise ConfigError(
                "an atlas of the label's maps needs a name (--name), to keep the run's own atlas"
            )
        run.flow_arrays(target)  # raises where there are none
    if weights is not None and partial_run:
        raise ConfigError(
            "weights depend on every image of a run; finish the run first, or leave out --weights"
        )
    if not partial_run:
        run.require_finished()
    folder = layout.folder_of(name or by)
    done, hashes = _units_done(run, folder)
    order = order_of(run, folder, tables, where, by, per, done, workers)
    path = f"{folder}/{COMMONNESS}" if weights else None
    order = replace(order, target=target, weights=path)
    progress = on_progress and Progress(on_progress)
    total = _fold_images(run, folder, order, done, hashes, workers, progress)
    if order.where and not total["maps"].present.any():
        layout.clear(run, folder)
        raise ConfigError(
            f"no image passes the filter {order.where.text!r}, so no atlas was written"
        )
    _write_atlas(run, folder, order, total, done, k, workers, progress)
    if run.spec.layer_channels and where is None and by is None:  # they are counted by unit
        write_channels(run, folder, done, workers)
    facts: dict[str, object] = {
        "name": name or by,
        "tables": list(order.tables.names),
        "where": order.where.text if order.where else None,
        "by": by,
        "per": per,
        "target": target,
        "images": int(total["maps"].count[order.tables.parts(order.tables.names[0])].sum()),
        "units": len(done),
        "complete": len(done) == len(run.units),
    }
    if weights:
        facts["weights"] = weights
    layout.write_facts(run, folder, facts)


def _check(
    tables: Sequence[str],
    workers: int | None,
    k: int,
    where: str | None,
    by: str | None,
    per: str | None,
    name: str | None,
) -> None:
    unknown = [table for table in tables if table not in TABLES]
    if unknown or not tables:
        raise ConfigError(f"unknown tables {unknown}; choose from {', '.join(TABLES)}")
    for option, number in (("k", k), ("workers", workers)):
        if number is not None and number < 1:
            raise ConfigError(f"{option} is {number}; it must be at least 1")
    if per is not None and (by is None or per not in ("label", "predicted")):
        raise ConfigError("per must be label or predicted, and needs by, whose groups it divides")
    if where is not None and name is None:
        raise ConfigError(
            "an atlas of a subset needs a name (--name), to keep the atlas of all images"
        )
    if (name or by) in TABLES:
        raise ConfigError(f"{name or by} is a table of every atlas; choose another name")


def _units_done(run: Run, folder: str) -> tuple[list[Unit], dict[int, str] | None]:
    """Return the finished units, and their hashes unless the run is complete without kept sums."""
    if run.finished and not run.exists(f"{folder}/{STATE}/meta.json"):
        return list(run.units), None
    receipts = valid_receipts(run.store, run.spec)
    if not receipts:
        raise RunIncomplete(
            f"{run.uri} has no finished unit yet; compute some with: flowatlas flows CONFIG"
        )
    done = [unit for unit in run.units if unit.id in receipts]
    return done, {unit.id: checkpoint.unit_hash(receipts[unit.id]) for unit in done}


def _fold_images(
    run: Run,
    folder: str,
    order: Order,
    done: Sequence[Unit],
    hashes: Mapping[int, str] | None,
    workers: int | None,
    progress: Progress | None,
) -> State:
    """Return the sums of all finished units, reading those that no stored state covers."""
    kept = checkpoint.load(run, f"{folder}/{STATE}", order, hashes) if hashes is not None else None
    layout.clear(run, folder, keep=(POOLED, STATE) if kept else ())
    if order.weights is not None:
        write_commonness(run, order.weights)
    if kept is None:
        pooled.create_pooled(run, order.pooled)
    known = kept[1] if kept else frozenset()
    new = [unit for unit in done if unit.id not in known]
    parts = [kept[0]] if kept else []
    if new:
        seen = _seen(progress)
        if progress:
            progress.plan(len(tasks.FIRST_PASS) * sum(map(len, new)) + sum(map(len, done)))
        leaves = [
            (partial(leaf, order, seen=seen), share) for leaf, share in tasks.FIRST_PASS.items()
        ]
        parts.append(fold(new, leaves, state.merge, workers))
    total = state.merge(*parts) if len(parts) > 1 else parts[0]
    if hashes is None or len(done) == len(run.units):
        checkpoint.discard(run, f"{folder}/{STATE}")
    elif new:
        checkpoint.save(run, f"{folder}/{STATE}", order, total, hashes)
    return total


def _seen(progress: Progress | None) -> tasks.Seen:
    """Return what counts the rows of a task; tasks in other processes cannot be counted."""
    return progress.add if progress and not is_distributed() else tasks.nobody


def _write_atlas(
    run: Run,
    folder: str,
    order: Order,
    total: State,
    done: Sequence[Unit],
    k: int,
    workers: int | None,
    progress: Progress | None,
) -> None:
    parts = {table: order.tables.parts(table) for table in order.tables.names}
    covariance = state.statistics_of(run.spec).covariance
    with ThreadPoolExecutor(workers) as threads:
        found = threads.map(partial(covariance.finish, total), parts.values())
        axes = dict(zip(parts, found, strict=True))
    leaf = partial(tasks.second_pass, order, axes, k, seen=_seen(progress))
    with ThreadPoolExecutor(1) as background:
        merge = partial(tasks.merge_projections, k)
        projections = background.submit(fold, done, [(leaf, 1)], merge, workers)
        weighted = order.weights is not None
        write_tables(
            run, folder, order.tables, total, axes, projections, workers, weighted=weighted
        )
    run.write(f"{folder}/{TYPICAL}", parquet.typical_bytes(projections.result()))
