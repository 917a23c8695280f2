"""``interdyn dashboard``."""

from pathlib import Path
from typing import Annotated

import typer

from interdyn.cli._say import say


def dashboard(
    runs: Annotated[Path, typer.Argument(help="Folder that contains runs, finished or not.")],
    host: Annotated[
        str, typer.Option(help="Address to serve on. One that other machines can reach needs --token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to serve on.")] = 8765,
    token: Annotated[str | None, typer.Option(help="Secret that visitors must give in the address.")] = None,
) -> None:
    """Serve a page that lists the runs of a folder and follows them while they are written.

    Example: **interdyn dashboard runs**
    """
    from interdyn.report import serve

    def announce() -> None:
        query = f"/?token={token}" if token else "/"
        say(f"Open: http://{host}:{port}{query}  (Ctrl-C to stop)")

    serve(runs, host=host, port=port, token=token, begins=announce)
