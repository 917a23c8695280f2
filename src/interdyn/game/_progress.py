"""Telling how far the masked passes have come."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

Progress = Callable[[int, int], None]
"""Called as ``progress(rows_done, rows_in_all)``."""


@contextmanager
def reporting(progress: Progress | None, *, bar: bool) -> Iterator[Progress | None]:
    """Give a function that calls ``progress`` and moves a bar on standard error; ``None`` if nobody listens."""
    if not bar:
        yield progress
        return
    from rich.console import Console
    from rich.progress import Progress as Bar

    with Bar(console=Console(stderr=True)) as drawn:
        task = drawn.add_task("masked inputs", total=None)

        def both(done: int, total: int) -> None:
            drawn.update(task, completed=done, total=total)
            if progress is not None:
                progress(done, total)

        yield both
