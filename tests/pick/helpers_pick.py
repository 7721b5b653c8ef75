"""A sitting as a person has it: a workbench on a small clip, and the server over it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from fake_finder import ColourFinder

from vinpaint_cli.pick.server import PickServer
from vinpaint_cli.pick.workbench import PickOptions, Workbench
from vinpaint_cli.video.source.read import open_source

FRAMES = 10
SIZE = (96, 64)


@dataclass(frozen=True)
class Answer:
    """What a request got."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Sitting:
    """A workbench with a finder that knows colours, served on a free port."""

    def __init__(self, clip: Path, **options: Any) -> None:
        self.finder = ColourFinder()
        self.clip = clip
        self.output = clip.with_name("clip.mask.mkv")
        self.bench = Workbench(
            open_source(clip), self.finder, PickOptions("clip.mkv", self.output, **options)
        )
        self.server = PickServer(self.bench)
        self.bench.start()
        self.server.start()

    def close(self) -> None:
        self.finder.gate.set()
        self.server.close()
        self.bench.close()

    def ask(self, path: str, given: object = None, *, token: str | None = None, **more: Any) -> Answer:
        """GET, or POST what is given, below the token."""
        method = more.pop("method", "GET" if given is None else "POST")
        place = f"/{self.server.token if token is None else token}/{path}"
        body = given if isinstance(given, bytes) else None if given is None else json.dumps(given).encode()
        return self.raw(method, place, body, more)

    def raw(self, method: str, place: str, body: bytes | None, headers: dict[str, str]) -> Answer:
        connection = HTTPConnection("127.0.0.1", self.server.port, timeout=20)
        try:
            connection.request(method, place, body, headers)
            answer = connection.getresponse()
            return Answer(answer.status, dict(answer.getheaders()), answer.read())
        finally:
            connection.close()

    def mark(self, kind: str, frame: int, *figures: int, number: int = 1) -> Answer:
        return self.ask("add", {"kind": kind, "object": number, "frame": frame, "figures": figures})

    def settle(self, until: Callable[[dict[str, Any]], bool] | None = None) -> dict[str, Any]:
        """The state once nothing is being done, or once ``until`` says so."""
        wanted = until or (lambda state: state["finished"] and not state["doing"]["running"])
        limit = monotonic() + 20
        while not wanted(state := self.bench.describe()):
            assert monotonic() < limit, state
            sleep(0.01)
        return state
