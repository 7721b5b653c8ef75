"""The server under the page: one address on loopback, a thread per request, not a word on the terminal."""

from __future__ import annotations

import secrets
import threading
from socketserver import TCPServer, ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from vinpaint_cli.errors import UsageError
from vinpaint_cli.pick.server import make_app
from vinpaint_cli.pick.workbench import Workbench

HOST = "127.0.0.1"


class PickServer:
    """Serves one workbench at ``address`` until `close`; a port of 0 takes a free one.

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
        """Where the page is, secret included."""
        return f"http://{HOST}:{self.port}/{self.token}/"

    def start(self) -> None:
        """Serve in the background."""
        serve = self._server.serve_forever
        threading.Thread(target=serve, args=(0.1,), name="vinpaint-serve", daemon=True).start()

    def close(self) -> None:
        """Answer no more."""
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingMixIn, WSGIServer):
    """A thread per request."""

    daemon_threads = True
    request_queue_size = 64

    def server_bind(self) -> None:
        """Bind as WSGIServer does, but without asking the network for this machine's name."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = HOST, self.server_address[1]
        self.setup_environ()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a browser that no longer wants a picture closes the connection."""


class _Handler(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the terminal is the person's."""
