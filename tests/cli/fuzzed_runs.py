"""Run in a process of its own: runs commands on mutated clips, masks, weights, job files and work folders.

Arguments: an empty folder, the number of mutations, the first seed. Every run is forked from this process,
which has the libraries. Prints a line of JSON for each run that ended as none may: by exit code 1 or a
signal, with a traceback or a raw warning, after more than 30 seconds of computing, with
something left behind, or with other bytes from a work folder; and at the end the counts of exit codes.
"""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # a forked process has none of the threads that others wait for
TESTS = Path(__file__).parent.parent
sys.path[:0] = [str(TESTS), str(TESTS / "methods")]

import numpy as np  # noqa: E402
import torch  # noqa: E402
from clip_factory import make_clip, png_bytes  # noqa: E402
from PIL import Image  # noqa: E402
from small_sttn import network, write_weights  # noqa: E402

import vinpaint_cli.pipeline.plan as planning  # noqa: E402
from vinpaint_cli.cli.app import run  # noqa: E402

LONGEST, PATIENCE = 30, 120
LIST = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:0.4,\nd.ts\n#EXT-X-ENDLIST\n"
TOML = """[defaults]
feather = 2
method = "telea"
propagate = false
[[job]]
input = "b.mkv"
box = ["20,16,16,12", "4,4,8,8@0.1-0.3"]
output = "o1.mkv"
[[job]]
input = "a.mp4"
mask = ["m.png"]
crf = 20
start = "0:00.1"
"""
CSV = 'input,box,output,feather\nb.mkv,"20,16,16,12",o1.mkv,2\na.mp4,"1,1,9,9",,\n'
LINES = """{"input": "b.mkv", "box": ["20,16,16,12"], "dilate": 3, "output": "o1.mkv"}
{"input": "a.mp4", "mask": "m.png"}
"""
BOX = ("--box", "20,16,16,12")
QUICK = ("--method", "telea", "--no-propagate", "-y")
Random = random.Random
Mutation = Callable[[bytearray, Random], None]
planning.LONGEST_SEGMENT = 9


def flip(content: bytearray, draw: Random) -> None:
    for _ in range(draw.choice((1, 3, 20))):
        content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)


def cut(content: bytearray, draw: Random) -> None:
    del content[draw.randrange(len(content)) :]


def overwrite(content: bytearray, draw: Random) -> None:
    start, length = draw.randrange(len(content)), draw.choice((1, 4, 8, 100))
    end = min(len(content), start + length)
    content[start:end] = draw.choice((b"\0", b"\xff", b"\x7f", draw.randbytes(1))) * (end - start)


def take_out(content: bytearray, draw: Random) -> None:
    start = draw.randrange(len(content))
    del content[start : start + draw.choice((1, 4, 64, 1000))]


def repeat(content: bytearray, draw: Random) -> None:
    start = draw.randrange(len(content))
    piece = content[start : start + draw.choice((1, 16, 500))]
    content[start:start] = piece * draw.choice((1, 2, 50))


def mix(content: bytearray, draw: Random) -> None:
    signs = b"[]{}\"'=,.:;#\n\t -0123456789eE\\x\xc3\xa9\xff\0"
    for _ in range(draw.choice((1, 2, 8))):
        content.insert(draw.randrange(len(content) + 1), draw.choice(signs))


BINARY: tuple[Mutation, ...] = (flip, cut, overwrite, take_out, repeat)


def mutate(path: Path, draw: Random, text: bool = False) -> str:
    """Change a file; returns how."""
    content = bytearray(path.read_bytes())
    done = []
    for _ in range(draw.choice((1, 1, 2, 4))):
        if content:
            change = draw.choice((*BINARY, mix, mix, mix) if text else BINARY)
            # What decides lies at the beginning more often than not.
            if draw.random() < 0.5 and change is not cut:
                head = content[:600]
                change(head, draw)
                content[:600] = head
            else:
                change(content, draw)
            done.append(change.__name__)
    path.write_bytes(content)
    return f"{path.name}: {'+'.join(done)}"


def make_seeds(folder: Path) -> None:
    """Whole files of every kind."""
    folder.mkdir()
    made = {"size": (64, 48), "frames": 12}
    make_clip(folder / "a.mp4", audio="aac", metadata={"title": "T"}, chapters=["one"], rotation=90, **made)
    more = {"subtitles": ["hello"], "attachments": {"x": b"x"}}
    make_clip(folder / "b.mkv", codec="ffv1", audio="flac", **more, **made)
    make_clip(folder / "c.avi", codec="mpeg4", **made)
    make_clip(folder / "d.ts", codec="mpeg2video", audio="mp2", **made)
    make_clip(folder / "e.webm", codec="libvpx-vp9", audio="libopus", **made)
    make_clip(folder / "f.mov", codec="prores_ks", pix_fmt="yuv422p10le", **made)
    make_clip(folder / "g.mp4", codec="libx265", pix_fmt="yuv420p10le", **made)
    noise = [Image.effect_noise((64, 48), 60) for _ in range(5)]
    noise[0].save(folder / "h.gif", save_all=True, append_images=noise[1:])
    noise[0].save(folder / "i.webp", save_all=True, append_images=noise[1:])
    noise[0].save(folder / "j.png")
    (folder / "list.m3u8").write_text(LIST)
    hole = np.zeros((48, 64), np.uint8)
    hole[16:28, 20:36] = 255
    (folder / "m.png").write_bytes(png_bytes(hole))
    for suffix in ("jpg", "gif", "webp", "tif", "bmp"):
        Image.fromarray(hole).save(folder / f"m.{suffix}")
    make_clip(folder / "mask.mkv", codec="ffv1", pix_fmt="gray", **made)
    write_weights(folder)
    torch.save(network().state_dict(), folder / "net.pth")
    (folder / "jobs.toml").write_text(TOML)
    (folder / "jobs.csv").write_text(CSV)
    (folder / "jobs.jsonl").write_text(LINES)


WORK = ".out.mkv.work"
CLIPS = "a.mp4 b.mkv c.avi d.ts e.webm f.mov g.mp4 h.gif i.webp j.png"


def case(folder: Path, draw: Random) -> tuple[list[str], str]:
    """A command line on files of which one is changed, and how."""
    kind = draw.choice(("clip", "clip", "mask", "weights", "jobs", "work", "work", "playlist"))
    work = folder / WORK
    if kind != "work":
        shutil.rmtree(work)
    if kind == "clip":
        name = draw.choice(CLIPS.split())
        told = mutate(folder / name, draw)
        if draw.random() < 0.4:
            return ["info", name, "--scan"], told
        return ["remove", name, "-o", "out.mkv", *BOX, *QUICK], told
    if kind == "mask":
        name = draw.choice(("m.png", "m.jpg", "m.gif", "m.webp", "m.tif", "m.bmp", "mask.mkv"))
        more = draw.choice(((), ("--mask-resize",), ("--mask-label", "255"), ("--mask-hold",)))
        told = mutate(folder / name, draw)
        return ["remove", "b.mkv", "-o", "out.mkv", "--mask", name, *more, *QUICK], told
    if kind == "weights":
        name = draw.choice(("net.pth", "small_sttn.safetensors"))
        told = mutate(folder / name, draw)
        return ["remove", "b.mkv", "-o", "out.mkv", *BOX, "--method", "sttn", "--weights", name, "-y"], told
    if kind == "jobs":
        name = draw.choice(("jobs.toml", "jobs.csv", "jobs.jsonl"))
        return ["batch", name, "--dry-run"], mutate(folder / name, draw, text=True)
    if kind == "playlist":
        told = mutate(folder / "list.m3u8", draw, text=True)
        return ["info", "list.m3u8", "--allow-playlists", "--scan"], told
    changed = draw.choice(sorted(file for file in work.iterdir() if file.is_file()))
    told = mutate(changed, draw, text=changed.suffix in (".json", ".jsonl") and draw.random() < 0.5)
    return ["remove", "b.mkv", "-o", "out.mkv", *BOX, *QUICK[:-1]], told


def forked(folder: Path, command: list[str]) -> tuple[int, str, float]:
    """Exit code (minus the number of a signal), what was printed, and the seconds of computing."""
    begin, printed = time.monotonic(), folder.parent / "printed"
    child = os.fork()
    if not child:
        with suppress(BaseException):
            os.chdir(folder)
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            handle = os.open(printed, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(handle, 1)
            os.dup2(handle, 2)
            code = run(command)
            sys.stdout.flush()
            os._exit(code)
        os._exit(99)
    while not (found := os.wait4(child, os.WNOHANG))[0]:
        if time.monotonic() - begin > PATIENCE:
            os.kill(child, signal.SIGKILL)
        time.sleep(0.01)
    _, status, used = found
    code = os.waitstatus_to_exitcode(status)
    seconds = used.ru_utime + used.ru_stime  # others may be at work on the machine
    if code == -signal.SIGKILL:
        seconds = time.monotonic() - begin
    return code, printed.read_text(errors="replace"), seconds


def faults(folder: Path, before: set[str], code: int, said: str, seconds: float) -> Iterator[str]:
    """What may not be."""
    if code not in (0, 2, 3, 4, 5, 6, 7):
        yield f"exit code {code}"
    for sign in ("Traceback", "internal error", "Exception ignored", "Warning:"):
        if sign in said:
            yield sign
    if seconds > LONGEST:
        yield f"{seconds:.0f} s"
    left = {file.name for file in folder.iterdir()} - before
    if left - ({"out.mkv"} if code == 0 else set()) - ({".out.mkv.work"} if code else set()):
        yield f"left {sorted(left)}"


def main() -> None:
    home, count, first = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    os.environ |= {"VINPAINT_HOME": str(home / "home"), "HF_HUB_OFFLINE": "1"}
    seeds, folder = home / "seeds", home / "now"
    make_seeds(seeds)
    os.chdir(seeds)
    run(["remove", "b.mkv", "-o", "x.mkv", *BOX, "--method", "sttn", "--weights", "net.pth", "-y", "-q"])
    run(["remove", "b.mkv", "-o", "out.mkv", *BOX, *QUICK, "-q", "--keep-work"])
    whole = (seeds / "out.mkv").read_bytes()
    (seeds / "out.mkv").unlink()
    (seeds / "x.mkv").unlink()
    codes: Counter[str] = Counter()
    for seed in range(first, first + count):
        shutil.copytree(seeds, folder)
        command, told = case(folder, Random(seed))
        before = {file.name for file in folder.iterdir()}
        code, said, seconds = forked(folder, command)
        codes[f"{command[0]} {code}"] += 1
        found = list(faults(folder, before, code, said, seconds))
        if WORK in before and code == 0 and (folder / "out.mkv").read_bytes() != whole:
            found.append("other bytes")
        if found:
            line = {"seed": seed, "faults": found, "command": command, "told": told, "said": said[-1500:]}
            print(json.dumps(line), flush=True)
        shutil.rmtree(folder)
    print(json.dumps(dict(sorted(codes.items()))))


if __name__ == "__main__":
    main()
