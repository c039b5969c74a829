"""Bars for work that takes long: on stderr, and only where a person sees them."""

from collections.abc import Iterator
from contextlib import contextmanager

from domain.progress import Told
from terminal.console import err


@contextmanager
def progress(work: str, *, measured: bool = True) -> Iterator[Told]:
    """Show a bar while inside; it is gone afterwards.

    Args:
        work: What goes on, as `simulating`.
        measured: Whether it will be told how far it is; else the bar only moves.

    Yields:
        What is told the share that is done; from any thread.
    """
    from rich.progress import (
        BarColumn,
        Progress,
        SpinnerColumn,
        TaskProgressColumn,
        TextColumn,
        TimeElapsedColumn,
    )

    share = (TaskProgressColumn(),) if measured else ()
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), *share)
    with Progress(
        *columns, TimeElapsedColumn(), console=err, transient=True, disable=not err.is_terminal
    ) as shown:
        task = shown.add_task(work, total=1.0 if measured else None)
        yield lambda share: shown.update(task, completed=share)
