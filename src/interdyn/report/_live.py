"""Pages served by this computer that follow runs while they are written, and who may see them."""

import hmac
import ipaddress
import re
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from threading import Lock

from interdyn.errors import InputError, InterdynError, missing_extra
from interdyn.report._compare import comparison
from interdyn.report._list import Listing
from interdyn.report._page import filled
from interdyn.report._runs import Followed, find_runs

try:
    import anyio
    import uvicorn
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.requests import Request
    from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response, StreamingResponse
    from starlette.routing import Route
    from starlette.types import ASGIApp, Receive, Scope, Send
except ImportError as error:
    raise missing_extra("starlette", "live", "the live page") from error

_EVERY = 0.5  # seconds after which the folder is read again
_QUIET = 15.0  # seconds after which an idle connection is kept alive by a comment
_PATIENCE = 1.0  # seconds that the list waits for runs that are being read
_COOKIE = "interdyn-token"
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*\.?)(?::([0-9]{1,5}))?")


def application(root: Path | str, *, token: str | None = None, hosts: tuple[str, ...] | None = None) -> Starlette:
    """Return the application: a list of the runs in a folder, and a page that follows each run. It only reads.

    Parameters
    ----------
    root
        Folder that is searched for runs, itself included.
    token
        Secret that a visitor must give, once as ``?token=...`` and then by cookie. None: none is needed.
    hosts
        Host names that are served (the header ``Host``), which protects against other web pages that point at this
        computer; None: any.

    Raises
    ------
    InputError
        If the folder does not exist.
    """
    pages = _Pages(Path(root))
    routes = [
        Route("/", pages.index),
        Route("/events", pages.list_events),
        Route("/compare", pages.compare),
        Route("/runs/{name:path}/events", pages.run_events),
        Route("/runs/{name:path}/", pages.page),
    ]
    return Starlette(routes=routes, middleware=[Middleware(_Guard, token=token, hosts=hosts)])


class _Pages:
    """The pages of a folder: the list, and each run that was requested."""

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise InputError(
                f"the live page needs a folder that contains runs; got {folder}, which is not a folder. Pass another."
            )
        self._folder = folder
        self._followed: dict[str, Followed] = {}
        self._lock = Lock()
        self._listing = Listing(folder, self._follow)

    def _follow(self, name: str, path: Path) -> Followed:
        with self._lock:
            known = self._followed.get(name)
            if known is None or known.path != path:
                known = self._followed[name] = Followed(path)
            return known

    def _run(self, name: str) -> Followed | None:
        path = find_runs(self._folder).get(name)
        return None if path is None else self._follow(name, path)

    def index(self, _: Request) -> Response:
        root = self._folder.name or str(self._folder)
        return HTMLResponse(filled("list.html.j2", bare=True, root=root, runs=self._listing.lines(patience=_PATIENCE)))

    def page(self, request: Request) -> Response:
        name = request.path_params["name"]
        run = self._run(name)
        if run is None:
            return PlainTextResponse("This run does not exist, or was deleted.", status_code=404)
        try:
            home = "../" * (name.count("/") + 2)
            return HTMLResponse(run.page(bare="bare" in request.query_params, home=home))
        except InterdynError as error:
            return HTMLResponse(filled("wait.html.j2", bare=True, name=name, why=str(error)))

    def compare(self, request: Request) -> Response:
        """Return the page of the runs that were selected in the list."""
        names = list(dict.fromkeys(request.query_params.getlist("run")))
        runs = {name: run for name in names if (run := self._run(name)) is not None}
        if len(runs) < 2:
            return PlainTextResponse("Comparing needs two or more runs. Select them in the list.", status_code=400)
        try:
            views = {name: run.result() for name, run in runs.items()}
        except InterdynError as error:
            return PlainTextResponse(f"These runs cannot be compared: {error}", status_code=400)
        return HTMLResponse(
            comparison([run.path for run in runs.values()], list(views.values()), list(views), home=".")
        )

    def _version(self, name: str) -> str | None:
        run = self._run(name)
        if run is None:
            return None
        try:
            return f"{run.refresh()} {run.alive}"
        except (InterdynError, OSError):
            return "trouble"

    async def list_events(self, request: Request) -> Response:
        return _stream(request, lambda: repr(self._listing.lines()))

    async def run_events(self, request: Request) -> Response:
        return _stream(request, lambda: self._version(request.path_params["name"]))


def _stream(request: Request, version: Callable[[], str | None]) -> StreamingResponse:
    """Send a message whenever the version changes after the page was made."""

    async def events() -> AsyncIterator[str]:
        known = await anyio.to_thread.run_sync(version)
        quiet = 0.0
        yield ": here\n\n"
        while not await request.is_disconnected():
            await anyio.sleep(_EVERY)
            now = await anyio.to_thread.run_sync(version)
            if now is None:
                yield "event: gone\ndata: gone\n\n"
                return
            quiet += _EVERY
            if now != known:
                known, quiet = now, 0.0
                yield "data: new\n\n"
            elif quiet >= _QUIET:
                quiet = 0.0
                yield ": still here\n\n"

    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(events(), media_type="text/event-stream", headers=headers)


class _Guard:
    """Refuses host names other than this computer's and visitors without the token."""

    def __init__(self, app: ASGIApp, *, token: str | None, hosts: tuple[str, ...] | None) -> None:
        self._app, self._token, self._hosts = app, token, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        answer = self._refusal(request)
        await (answer or self._app)(scope, receive, send)

    def _refusal(self, request: Request) -> Response | None:
        called = host_of(request.headers.getlist("host"))
        if called is None:
            return PlainTextResponse("The header Host must be one name, or one name:port.", status_code=400)
        if self._hosts is not None and called not in self._hosts:
            return PlainTextResponse("This host name is not served. Use 127.0.0.1 or localhost.", status_code=403)
        if self._token is None:
            return None
        given = request.query_params.get("token")
        if given is not None and hmac.compare_digest(given.encode(), self._token.encode()):
            there = request.url.remove_query_params("token")  # the path alone: a visitor stays on this server
            query = f"?{there.query}" if there.query else ""
            answer = RedirectResponse(f"/{there.path.lstrip('/')}{query}", status_code=303)
            answer.set_cookie(_COOKIE, self._token, httponly=True, samesite="strict")
            return answer
        kept = request.cookies.get(_COOKIE, "")
        if hmac.compare_digest(kept.encode(), self._token.encode()):
            return None
        return PlainTextResponse("This page needs a token. Add ?token=... to the address.", status_code=401)


def host_of(headers: Sequence[str]) -> str | None:
    """Return the name in the header ``Host``, in lower case and without port; None where it cannot be parsed.

    Read from the header as it was sent: a library that falls back to the server's own address for a name it cannot
    parse would admit any other web page (DNS rebinding).

    Examples
    --------
    >>> host_of(["LocalHost:8765"]), host_of(["[::1]"]), host_of(["evil!.com"]), host_of([])
    ('localhost', '[::1]', None, None)
    """
    match = _HOST.fullmatch(headers[0]) if len(headers) == 1 else None
    if match is None or int(match[2] or 1) not in range(1, 65536):
        return None
    return match[1].lower()


def serve(
    root: Path | str,
    *,
    host: str = "127.0.0.1",
    port: int = 8765,
    token: str | None = None,
    begins: Callable[[], None] = lambda: None,
) -> None:
    """Serve the pages until interrupted.

    Parameters
    ----------
    root, token
        As in `application`.
    host, port
        Address and port; an address that other machines can reach needs a token.
    begins
        Called just before serving starts.

    Raises
    ------
    InputError
        If the folder does not exist, or other machines could reach it without a token.
    """
    loopback = is_loopback(host)
    if not loopback and not token:
        raise InputError(
            f"an address that other machines can reach needs a token; got {host} without one. Add --token, or leave "
            "--host out to serve this computer alone."
        )
    hosts = ("127.0.0.1", "localhost", "[::1]", host.lower(), f"[{host.lower()}]") if loopback else None
    app = application(root, token=token, hosts=hosts)
    begins()
    uvicorn.run(app, host=host, port=port, log_level="warning", timeout_graceful_shutdown=1)


def is_loopback(host: str) -> bool:
    """Return whether only this computer can reach an address.

    Examples
    --------
    >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("0.0.0.0")
    (True, True, False)
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
