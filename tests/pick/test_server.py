"""The page's server over real HTTP: who is let in, what is answered, what is refused."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from time import monotonic, sleep

import cv2
import numpy as np
import pytest
from helpers_pick import FRAMES, SIZE, Sitting

from vinpaint_cli.errors import MaskError, UsageError
from vinpaint_cli.pick.server import MOST_THREADS, PickServer
from vinpaint_cli.video.source.read import open_source

SQUARE = (4, 8)  # on the red square of frame 0


def decoded(data: bytes) -> np.ndarray:
    found = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    assert found is not None
    return found


def opaque(data: bytes) -> np.ndarray:
    return decoded(data)[..., 3] > 127


def test_the_page_needs_nothing_from_outside(sitting: Sitting) -> None:
    page = sitting.ask("")
    assert (page.status, page.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    for name in ("page.css", "page.js", "icon.svg"):
        answer = sitting.ask(name)
        assert answer.status == 200
        for outside in (b"http://", b"https://", b"//cdn", b"@import"):
            assert outside not in answer.body.replace(b"http://www.w3.org/2000/svg", b"")
    assert b"http" not in page.body
    policy = page.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy


@pytest.mark.parametrize(
    "path", ["", "clip", "state", "frame/0.jpg", "page.js", "nothing", "../../etc/passwd"]
)
def test_without_the_token_there_is_nothing(sitting: Sitting, path: str) -> None:
    for token in ("", "wrong", sitting.server.token[:-1], sitting.server.token + "x", "%FC"):
        answer = sitting.raw("GET", f"/{token}/{path}", None, {})
        assert answer.status == 403
        assert "token" in answer.json["error"]
    assert sitting.raw("POST", f"/wrong/{path}", b"{}", {}).status == 403
    assert sitting.raw("GET", f"/?token={sitting.server.token}", None, {}).status == 403


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "evil.example:80", "", "[", "192.168.1.2"]
)
def test_a_name_that_is_not_loopback_is_refused(sitting: Sitting, host: str) -> None:
    answer = sitting.ask("state", Host=host)
    assert answer.status == 403
    assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "localhost:9999", "[::1]:80"])
def test_loopback_goes_by_several_names(sitting: Sitting, host: str) -> None:
    assert sitting.ask("state", Host=host).status == 200
    assert sitting.ask("undo", {}, Host=host, Origin=f"http://{host}").status == 200
    assert sitting.ask("undo", {}, Host=host, Origin="http://evil.example").status == 403
    assert sitting.ask("undo", {}, Host=host, Origin="null").status == 403


def test_only_its_own_routes_and_ways(sitting: Sitting) -> None:
    assert sitting.ask("undo").status == 405
    assert sitting.ask("state", {}).status == 405
    assert sitting.ask("state", method="OPTIONS").status == 405
    assert sitting.ask("state", method="DELETE").status == 405
    for path in (
        "nothing",
        "frame/x.jpg",
        "frame/-1.jpg",
        "page/page.js",
        "..%2f..%2fpyproject.toml",
        "%2e%2e/marks.py",
    ):
        answer = sitting.ask(path)
        assert answer.status == 404
        assert list(answer.json) == ["error"]


def test_the_address_without_its_last_slash_leads_to_the_page(sitting: Sitting) -> None:
    answer = sitting.raw("GET", f"/{sitting.server.token}", None, {})
    assert (answer.status, answer.headers["Location"]) == (307, f"/{sitting.server.token}/")


def sent(sitting: Sitting, request: bytes) -> bytes:
    """What is answered to bytes as they are."""
    with socket.create_connection(("127.0.0.1", sitting.server.port), timeout=20) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65536), b""))


@pytest.mark.parametrize(
    "headers",
    [
        b"Host: \xff\xfe",
        b"Host: 127.0.0.1\r\nOrigin: \xe9",
        b"Host: 127.0.0.1\r\nContent-Length: many",
        b"Host: 127.0.0.1\r\nContent-Length: -5",
        b"Host: 127.0.0.1\r\nContent-Length: \xb2",
        b"Host: 127.0.0.1\r\nTransfer-Encoding: chunked",
    ],
)
def test_headers_that_cannot_be_read(
    sitting: Sitting, capfd: pytest.CaptureFixture[str], headers: bytes
) -> None:
    for token in (sitting.server.token.encode(), b"wrong"):
        answer = sent(sitting, b"POST /" + token + b"/undo HTTP/1.0\r\n" + headers + b"\r\n\r\n{}")
        assert answer.split()[1] in ([b"400"] if token != b"wrong" else [b"400", b"403"]), answer
    assert capfd.readouterr().err == ""


def test_bodies_that_cannot_be_read(sitting: Sitting, capfd: pytest.CaptureFixture[str]) -> None:
    for body in (b"[" * 4000, b"\xff", b"{" * 2000, b"[1]"):
        assert sitting.ask("clear", body).status == 400
    figures = b'{"kind": "add", "object": 1, "frame": ' + b"9" * 3900 + b', "figures": [1e999, 1]}'
    assert sitting.ask("add", figures).status in (400, 422)
    assert sitting.ask("clear", b" " * 5000).status == 413
    assert sitting.ask("clear", b"{}", **{"Content-Length": "9" * 5000}).status == 413
    assert capfd.readouterr().err == ""


def test_connections_that_say_nothing_are_bounded_and_end(
    sitting: Sitting, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("vinpaint_cli.pick.server._Handler.timeout", 0.5)
    before = threading.active_count()
    with ExitStack() as silent:
        for number in range(150):
            connection = silent.enter_context(socket.create_connection(("127.0.0.1", sitting.server.port)))
            with suppress(OSError):  # it may have been hung up already
                connection.sendall(b"GET /"[: number % 6])
        sleep(0.2)
        assert threading.active_count() - before <= MOST_THREADS
        limit = monotonic() + 10
        while threading.active_count() > before:
            assert monotonic() < limit
            sleep(0.05)
        assert sitting.ask("state").status == 200
    assert capfd.readouterr().err == ""


def test_it_listens_on_loopback_alone(sitting: Sitting) -> None:
    assert sitting.server.address.startswith("http://127.0.0.1:")
    assert sitting.server._server.server_address[0] == "127.0.0.1"
    assert len(sitting.server.token) >= 32


def test_a_port_that_is_taken_is_named(sitting: Sitting) -> None:
    with pytest.raises(UsageError, match="--port"):
        PickServer(sitting.bench, sitting.server.port)
    with pytest.raises(UsageError, match="99999"):
        PickServer(sitting.bench, 99999)


def test_the_clip_is_described(sitting: Sitting) -> None:
    about = sitting.ask("clip").json
    assert (about["name"], about["width"], about["height"], about["rate"]) == ("clip.mkv", *SIZE, 25)
    state = sitting.settle()
    assert (state["read"], state["error"], state["command"]) == (FRAMES, None, None)


def test_frames_are_those_of_the_clip_in_any_order(sitting: Sitting) -> None:
    truth = [frame.rgb for frame in open_source(sitting.clip).frames()]
    for index in (0, 5, 6, 4, 9, 0):
        answer = sitting.ask(f"frame/{index}.jpg")
        assert answer.headers["Content-Type"] == "image/jpeg"
        shown = decoded(answer.body)[..., ::-1]
        assert shown.shape == truth[index].shape
        errors = [np.abs(shown.astype(int) - one).mean() for one in truth]
        assert int(np.argmin(errors)) == index
    beyond = sitting.ask(f"frame/{FRAMES}.jpg")
    assert beyond.status == 422
    assert f"no frame {FRAMES}" in beyond.json["error"]


def test_a_click_gives_the_mask_of_that_frame(sitting: Sitting) -> None:
    state = sitting.mark("click", 3, SQUARE[0] + 6, SQUARE[1]).json
    assert state["command"] == "vinpaint remove clip.mkv --click 10,8@f3"
    assert state["pointed"] == [[1, 3]]
    mask = opaque(sitting.ask("mask/1/3.png").body)
    assert mask.shape == SIZE[::-1]
    assert mask[4:12, 6:14].all()
    assert mask.sum() < 2 * 8 * 8
    (index, (prompt,)), *_ = sitting.finder.asked
    assert (index, prompt.points, prompt.labels) == (3, ((10.0, 8.0),), (True,))


def test_a_mask_is_found_once_until_its_marks_change(sitting: Sitting) -> None:
    sitting.mark("click", 0, *SQUARE)
    first = sitting.ask("mask/1/0.png").body
    assert sitting.ask("mask/1/0.png").body == first
    sitting.mark("click", 5, 20, 30)
    assert sitting.ask("mask/1/0.png").body == first
    assert len(sitting.finder.asked) == 1
    sitting.mark("not", 0, *SQUARE)
    assert not opaque(sitting.ask("mask/1/0.png").body).any()
    sitting.ask("undo", {})
    assert sitting.ask("mask/1/0.png").body == first
    assert len(sitting.finder.asked) == 2


def test_objects_are_kept_apart(sitting: Sitting) -> None:
    sitting.mark("click", 0, *SQUARE)
    state = sitting.mark("box", 0, 40, 20, 30, 30, number=2).json
    assert "--click 4,8@f0 --box-prompt 2:40,20,30,30@f0" in state["command"]
    one, two = (opaque(sitting.ask(f"mask/{number}/0.png").body) for number in (1, 2))
    assert two.sum() == 30 * 30
    assert not (one & two).any()
    assert sitting.ask("clear", {"object": 1}).json["pointed"] == [[2, 0]]


@pytest.mark.parametrize(
    ("path", "given", "status", "part"),
    [
        ("add", {"kind": "click"}, 400, "cannot be read"),
        ("add", {"kind": "click", "object": 1, "frame": 0, "figures": [500, 0]}, 400, "96×64"),
        ("add", {"kind": "click", "object": 1, "frame": FRAMES, "figures": [1, 1]}, 400, "10 frames"),
        ("add", b"{", 400, "not JSON"),
        ("add", b"[1]", 400, "no JSON object"),
        ("add", b" " * 5000, 413, "4096"),
        ("clear", {"object": "1"}, 400, "numbered from 1"),
        ("follow", {}, 400, "click the object first"),
        ("write", {}, 400, "follow the object first"),
        ("mask/1/0.png", None, 400, "click it there"),
        ("tracked/0.png", None, 400, "follow the object first"),
    ],
)
def test_an_error_is_one_line_of_json(
    sitting: Sitting, path: str, given: object, status: int, part: str
) -> None:
    sitting.settle()
    answer = sitting.ask(path, given)
    assert (answer.status, answer.headers["Content-Type"]) == (status, "application/json")
    assert part in answer.json["error"]
    assert "\n" not in answer.json["error"]
    assert sitting.bench.marks == ()


def test_an_error_of_the_segmenter_is_told(sitting: Sitting, monkeypatch: pytest.MonkeyPatch) -> None:
    sitting.mark("click", 0, *SQUARE)
    for error, status, line in (
        (
            MaskError("nothing is found there;\nclick its middle"),
            422,
            "nothing is found there; click its middle",
        ),
        (RuntimeError("boom"), 500, "internal error (RuntimeError: boom)"),
    ):

        def fail(*_: object, error: Exception = error) -> None:
            raise error

        monkeypatch.setattr(sitting.finder, "segment", fail)
        answer = sitting.ask("mask/1/0.png")
        assert (answer.status, answer.json) == (status, {"error": line})


def test_following_and_what_it_gives(sitting: Sitting) -> None:
    sitting.mark("click", 0, *SQUARE)
    assert sitting.ask("follow", {}).status == 200
    state = sitting.settle()
    tracked = state["tracked"]
    assert (tracked["stale"], tracked["notes"]) == (False, ("a note",))
    assert tracked["confidence"][0] == 1
    assert tracked["confidence"][-1] == 0
    assert [one["worst"] for one in tracked["weak"]] == [9]
    mask = opaque(sitting.ask("tracked/4.png").body)
    assert mask[4:12, 8:16].all()
    assert sitting.ask("tracked/10.png").status == 422
    assert sitting.mark("click", 5, 14, 8).json["tracked"]["stale"]
    assert not sitting.ask("undo", {}).json["tracked"]["stale"]


def test_following_shows_how_far_it_is_and_stops(sitting: Sitting) -> None:
    sitting.mark("click", 0, *SQUARE)
    sitting.finder.gate.clear()
    sitting.ask("follow", {})
    doing = sitting.settle(lambda state: state["doing"]["stage"] == "track")["doing"]
    assert (doing["task"], doing["running"], doing["total"]) == ("following", True, FRAMES)
    assert sitting.ask("follow", {}).status == 400
    assert sitting.ask("mask/1/0.png").status == 200
    assert sitting.ask("frame/7.jpg").status == 200
    assert sitting.ask("stop", {}).json["doing"]["stopping"]
    sitting.finder.gate.set()
    state = sitting.settle()
    assert state["tracked"] is None
    assert state["doing"]["error"] is None


@pytest.mark.parametrize(
    "error", [MaskError("nothing there; click again"), ValueError("boom"), MemoryError()]
)
def test_an_error_while_following_is_told_and_over(sitting: Sitting, error: Exception) -> None:
    sitting.mark("click", 0, *SQUARE)
    sitting.finder.fails = error
    sitting.ask("follow", {})
    line = sitting.settle()["doing"]["error"]
    assert line
    assert str(error) in line
    sitting.finder.fails = None
    sitting.ask("follow", {})
    assert sitting.settle()["doing"]["error"] is None


def test_not_this_on_another_frame_corrects_what_was_followed(sitting: Sitting) -> None:
    sitting.mark("click", 0, *SQUARE)
    assert sitting.mark("not", 4, 10, 8).json["command"].endswith("--click 4,8@f0 --not 10,8@f4")
    assert sitting.ask("mask/1/4.png").status == 400
    sitting.ask("follow", {})
    sitting.settle()
    followed, corrected = (opaque(sitting.ask(path).body) for path in ("tracked/4.png", "mask/1/4.png"))
    assert followed[8, 10]
    assert not corrected[4:12, 8:16].any()


def test_masks_are_written_and_the_command_takes_them(sitting: Sitting) -> None:
    sitting.mark("click", 0, *SQUARE)
    sitting.ask("follow", {})
    sitting.settle()
    sitting.ask("write", {})
    state = sitting.settle()
    assert state["written"] == str(sitting.output)
    assert state["command"] == f"vinpaint remove clip.mkv --mask {sitting.output}"
    holes = [frame.rgb[..., 0] > 127 for frame in open_source(sitting.output).frames()]
    assert len(holes) == FRAMES
    assert (holes[4] == opaque(sitting.ask("tracked/4.png").body)).all()
    again = sitting.ask("write", {})
    assert (again.status, "exists" in again.json["error"]) == (409, True)
    assert sitting.ask("write", {"replace": True}).status == 200
    assert sitting.settle()["doing"]["error"] is None
    assert "--click" in sitting.mark("click", 5, 14, 8).json["command"]
    assert sitting.ask("write", {"replace": True}).status == 400


def test_an_output_that_cannot_be_written_is_told(sitting: Sitting) -> None:
    sitting.mark("click", 0, *SQUARE)
    sitting.ask("follow", {})
    sitting.settle()
    sitting.output.mkdir()
    (sitting.output / "letter.txt").write_text("not a picture")
    assert sitting.ask("write", {"replace": True}).status == 200
    assert str(sitting.output) in sitting.settle()["doing"]["error"]
    assert not [path for path in Path(sitting.output).parent.iterdir() if path.name.startswith(".")]


def test_it_ends_by_the_button_after_the_answer(sitting: Sitting) -> None:
    assert not sitting.bench.ended.is_set()
    answer = sitting.ask("done", {})
    assert answer.json["command"] is None
    assert sitting.bench.ended.wait(5)


def test_it_ends_with_the_masks_when_they_were_asked_for(sit: Callable[..., Sitting]) -> None:
    sitting = sit(ends_with_masks=True)
    sitting.mark("click", 0, *SQUARE)
    sitting.ask("follow", {})
    sitting.settle()
    sitting.ask("write", {})
    assert sitting.bench.ended.wait(10)
    assert sitting.bench.written == sitting.output


def test_a_browser_that_goes_away_harms_nobody(sitting: Sitting, capfd: pytest.CaptureFixture[str]) -> None:
    for _ in range(3):
        with socket.create_connection(("127.0.0.1", sitting.server.port)) as raw:
            raw.sendall(
                f"GET /{sitting.server.token}/frame/1.jpg HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
            )
    assert sitting.ask("state").status == 200
    assert capfd.readouterr() == ("", "")
