"""The local web server of the page: its routes, each below a secret token, on the loopback interface only.

::

    GET   /TOKEN/                            the page; page.css, page.js and icon.svg beside it
    GET   /TOKEN/clip                        what never changes of the clip
    GET   /TOKEN/state                       everything that may change
    GET   /TOKEN/frame/INDEX.jpg             a frame
    GET   /TOKEN/mask/OBJECT/INDEX.png       the mask of one object on a frame with marks
    GET   /TOKEN/tracked/INDEX.png           the tracked mask
    POST  /TOKEN/add  remove                 a mark as JSON; answered, as all below, with the new state
    POST  /TOKEN/clear                       {"object": N}
    POST  /TOKEN/undo  redo  follow  stop  done
    POST  /TOKEN/write                       {"replace": true} to replace what stands there

Errors are ``{"error": "one line"}``: 400 what cannot be read or done, 403 for strangers, 404, 405, 409 the
output exists, 413 too much, 422 the clip or its mask, 500 others.
"""

from __future__ import annotations

import hmac
import io
import json
import secrets
import threading
from collections.abc import Callable, Iterator
from importlib.resources import files
from socketserver import TCPServer, ThreadingMixIn
from typing import Any
from urllib.parse import urlsplit
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

import bottle

from vinpaint_cli.errors import InputError, OutputError, UsageError, VinpaintError
from vinpaint_cli.pick.marks import MarkHistory, read_mark
from vinpaint_cli.pick.workbench import Workbench

_LOOPBACK = {"127.0.0.1", "localhost", "::1"}
_MOST_BYTES = 4096
_PAGE = {
    "": ("index.html", "text/html; charset=utf-8"),
    "page.css": ("page.css", "text/css; charset=utf-8"),
    "page.js": ("page.js", "text/javascript; charset=utf-8"),
    "icon.svg": ("icon.svg", "image/svg+xml"),
}
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
_STATUS: tuple[tuple[type[VinpaintError], int], ...] = (
    (UsageError, 400),
    (InputError, 422),
    (OutputError, 409),
)


def make_app(bench: Workbench, token: str) -> Any:
    """The WSGI application; it answers 403 without the token or for a host that is not loopback."""
    app = bottle.Bottle(catchall=True)
    app.default_error_handler = _error
    app.add_hook("before_request", lambda: _admit(token))
    app.install(_translating)
    _add_page(app)
    _add_pictures(app, bench)
    _add_steps(app, bench)
    return app


def _add_page(app: Any) -> None:
    def add(name: str, file: str, kind: str) -> None:
        data = files("vinpaint_cli.pick").joinpath("page", file).read_bytes()
        app.route(f"/<_token>/{name}", "GET", lambda _token: _answer(data, kind))

    for name, (file, kind) in _PAGE.items():
        add(name, file, kind)


def _add_pictures(app: Any, bench: Workbench) -> None:
    def frame(_token: str, index: str) -> Any:
        return _answer(bench.frame_jpeg(int(index)), "image/jpeg", "private, max-age=3600")

    app.route("/<_token>/frame/<index:re:[0-9]{1,7}>.jpg", "GET", frame)
    app.route(
        "/<_token>/mask/<number:re:[0-9]{1,6}>/<index:re:[0-9]{1,7}>.png",
        "GET",
        lambda _token, number, index: _answer(bench.mask_png(int(number), int(index)), "image/png"),
    )
    app.route(
        "/<_token>/tracked/<index:re:[0-9]{1,7}>.png",
        "GET",
        lambda _token, index: _answer(bench.tracked_png(int(index)), "image/png"),
    )


def _add_steps(app: Any, bench: Workbench) -> None:
    def step(name: str, act: Callable[[dict[str, Any]], object]) -> None:
        def answer(_token: str) -> Any:
            act(_given())
            return _json(bench.describe())

        app.route(f"/<_token>/{name}", "POST", answer)

    app.route("/<token>", "GET", lambda token: bottle.HTTPResponse("", 307, Location=f"/{token}/"))
    app.route("/<_token>/clip", "GET", lambda _token: _json(bench.clip()))
    app.route("/<_token>/state", "GET", lambda _token: _json(bench.describe()))
    step("add", lambda given: bench.add(read_mark(given)))
    step("remove", lambda given: bench.change(lambda session: session.remove(read_mark(given))))
    step("clear", lambda given: bench.change(lambda session: session.clear(_object(given))))
    step("undo", lambda given: bench.change(MarkHistory.undo))
    step("redo", lambda given: bench.change(MarkHistory.redo))
    step("follow", lambda given: bench.follow())
    step("stop", lambda given: bench.stop())
    step("write", lambda given: bench.write(given.get("replace") is True))
    app.route("/<_token>/done", "POST", lambda _token: _FinalAnswer(_json(bench.describe()), bench))


class _FinalAnswer:
    """The body of the last answer: the page ends once it has been sent."""

    def __init__(self, answer: Any, bench: Workbench) -> None:
        answer.apply(bottle.response)
        self._body, self._bench = answer.body, bench

    def __iter__(self) -> Iterator[bytes]:
        yield self._body

    def close(self) -> None:
        """End."""
        self._bench.ended.set()


def _admit(token: str) -> None:
    """Raise 403 unless the request is for a loopback name, of this page, with the token."""
    request = bottle.request
    host, origin = (request.headers.raw(name, default) for name, default in (("Host", ""), ("Origin", None)))
    if not host.isascii() or not (origin or "").isascii():
        raise _json({"error": "a header that is no text; open the address as it was printed"}, 400)
    first = request.path.split("/")[1] if "/" in request.path else ""
    known = hmac.compare_digest(first.encode("utf-8", "surrogateescape"), token.encode())
    at_home = _name_of(host) in _LOOPBACK and origin in (None, f"http://{host}")
    if not (known and at_home):
        raise _json({"error": "refused; open the address as `vinpaint pick` printed it, token included"}, 403)


def _name_of(host: str) -> str | None:
    """The name in a Host header, without its port; None when it cannot be read."""
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None


def _translating(callback: Callable[..., Any]) -> Callable[..., Any]:
    """Plugin of bottle: errors of ours become one line of JSON."""

    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return callback(*args, **kwargs)
        except VinpaintError as exc:
            status = next((code for kind, code in _STATUS if isinstance(exc, kind)), 500)
            return _json({"error": " ".join(str(exc).split())}, status)
        except bottle.HTTPResponse:
            raise
        except Exception as exc:
            return _json({"error": f"internal error ({type(exc).__name__}: {exc})"}, 500)

    return call


def _given() -> dict[str, Any]:
    """The JSON object of the request's body, empty for none; raises UsageError."""
    request = bottle.request
    length = request.headers.raw("Content-Length", "") or "0"
    if not (length.isascii() and length.isdecimal()) or request.chunked:
        raise UsageError("the length of the request cannot be read; send one JSON object")
    if len(length) > len(str(_MOST_BYTES)) or int(length) > _MOST_BYTES:
        raise _json({"error": f"more than {_MOST_BYTES} bytes; send one mark at a time"}, 413)
    body = request.body.read(_MOST_BYTES)
    try:
        given = json.loads(body) if body else {}
    except (ValueError, RecursionError) as exc:
        raise UsageError("the request is not JSON; send one JSON object") from exc
    if not isinstance(given, dict):
        raise UsageError("the request is no JSON object; send one")
    return given


def _object(given: dict[str, Any]) -> int:
    number = given.get("object")
    if type(number) is not int or number < 1:
        raise UsageError(f"object {number!r} cannot be read; objects are numbered from 1")
    return number


def _answer(data: bytes, kind: str, cache: str = "no-store", status: int = 200) -> Any:
    headers = {**_HEADERS, "Cache-Control": cache, "Content-Type": kind, "Content-Length": str(len(data))}
    return bottle.HTTPResponse(data, status, headers)


def _json(value: object, status: int = 200) -> Any:
    return _answer(json.dumps(value).encode(), "application/json", status=status)


def _error(error: Any) -> bytes:
    """What bottle itself refuses, in the same form; ``error`` is its HTTPError."""
    line = {404: "there is nothing here", 405: "not that way"}.get(error.status_code, "internal error")
    data = json.dumps({"error": f"{line}; open the address as it was printed"}).encode()
    bottle.response.headers.update({**_HEADERS, "Content-Type": "application/json"})
    return data


HOST = "127.0.0.1"
PATIENCE = 10.0
"""Seconds that a connection may be silent."""
MOST_THREADS = 64
"""Connections answered at the same time; a browser opens six."""


class PickServer:
    """Serves one workbench at ``address`` until `close`; port 0 takes a free one.

    Raises UsageError (the port cannot be used).
    """

    def __init__(self, bench: Workbench, port: int = 0) -> None:
        self.token = secrets.token_urlsafe(24)
        try:
            self._server = _Server((HOST, port), _Handler)
        except (OSError, OverflowError) as exc:
            reason = getattr(exc, "strerror", None) or exc
            raise UsageError(
                f"port {port} cannot be used ({reason}); leave out --port to take a free one"
            ) from exc
        self._server.set_app(make_app(bench, self.token))
        self.port: int = self._server.server_address[1]

    @property
    def address(self) -> str:
        """URL of the page, token included."""
        return f"http://{HOST}:{self.port}/{self.token}/"

    def start(self) -> None:
        """Serve in the background."""
        serve = self._server.serve_forever
        threading.Thread(target=serve, args=(0.1,), name="vinpaint-serve", daemon=True).start()

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingMixIn, WSGIServer):
    """A thread per request, up to a number."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._room = threading.BoundedSemaphore(MOST_THREADS)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread of its own, or hang up where too many are open."""
        if self._room.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer, and make room for another."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()

    def server_bind(self) -> None:
        """Bind as WSGIServer does, but without asking the network for this machine's name."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = HOST, self.server_address[1]
        self.setup_environ()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignored: browsers close connections of pictures that they no longer need."""


class _Handler(WSGIRequestHandler):
    timeout = PATIENCE

    def get_stderr(self) -> Any:
        """Nowhere: the terminal is not for what strangers send."""
        return io.StringIO()

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are not logged to the terminal."""
