"""``interdyn dashboard``."""

from pathlib import Path
from typing import Annotated

import typer

from interdyn.cli._say import say


def dashboard(
    runs: Annotated[Path, typer.Argument(help="Folder that holds runs, finished or growing.")],
    host: Annotated[str, typer.Option(help="Address; one that others can reach needs a token.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8765,
    token: Annotated[str | None, typer.Option(help="What a visitor must know.")] = None,
) -> None:
    """Serve a page on this computer that follows runs while they are written.

    Example: [bold]interdyn dashboard runs[/bold]
    """
    from interdyn.report import serve

    def tell() -> None:
        query = f"/?token={token}" if token else "/"
        say(f"Open: http://{host}:{port}{query}  (end with Ctrl-C)")

    serve(runs, host=host, port=port, token=token, begins=tell)
