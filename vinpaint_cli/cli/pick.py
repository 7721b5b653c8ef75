"""``vinpaint pick``."""

from __future__ import annotations

import json
import webbrowser
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from vinpaint_cli.cli.command import command
from vinpaint_cli.cli.console import Console

if TYPE_CHECKING:
    from vinpaint_cli.pick.server import PickServer
    from vinpaint_cli.pick.workbench import Workbench


@command("pick")
def pick(
    console: Console,
    input: str,
    segmenter: str,
    segmenter_weights: str | None,
    track: str,
    device: str,
    output: str | None,
    port: int | None,
    no_browser: bool,
    as_json: bool,
) -> None:
    """Point at what goes, in a browser: click it, look at its mask, track it, take the command with you.

    The page is on this machine alone. It ends by its button or Ctrl-C, and the command is printed.
    """
    from vinpaint_cli.mask_making.run import default_mask_output
    from vinpaint_cli.masks.prompts import PromptOptions
    from vinpaint_cli.pick.finder import SegmentAndTrack
    from vinpaint_cli.pick.workbench import PickOptions, Workbench
    from vinpaint_cli.pipeline.output import check_output
    from vinpaint_cli.video.source.read import open_source

    overwrite = console.may_overwrite(output)
    target = default_mask_output(input) if output is None else check_output(input, output, overwrite)
    prompts = PromptOptions(segmenter=segmenter, segmenter_weights=segmenter_weights, tracker=track)
    source = open_source(input)
    next(iter(source.frames(0, 1)))  # a clip that cannot be read is told of before any page opens
    finder = SegmentAndTrack(prompts, device)
    options = PickOptions(input, target, prompts, ask_first=not overwrite, ends_with_masks=output is not None)
    bench = Workbench(source, finder, options)
    serve(console, bench, port or 0, not no_browser, as_json)


def serve(console: Console, bench: Workbench, port: int, browser: bool, as_json: bool) -> None:
    """Open the page, wait for its end, and print what came of it."""
    from vinpaint_cli.pick.server import PickServer

    server = PickServer(bench, port)
    bench.start()
    server.start()
    try:
        _announce(console, server, browser, as_json)
        # Python has no signals while a lock is waited for without a limit on some systems.
        while not bench.ended.wait(0.5):
            pass
    except KeyboardInterrupt:
        console.say("")
    finally:
        server.close()
        bench.close()
    _farewell(console, bench, as_json)


def _announce(console: Console, server: PickServer, browser: bool, as_json: bool) -> None:
    if as_json:
        console.lines(json.dumps({"address": server.address}))
    console.say(f"the page is at {server.address}", "bold")
    console.say("its Done button or Ctrl-C ends it and prints the command")
    if browser:
        with suppress(webbrowser.Error):  # nobody is there to see a page: the address is printed
            webbrowser.open(server.address)


def _farewell(console: Console, bench: Workbench, as_json: bool) -> None:
    """Print the command that removes what was pointed at."""
    command, written = bench.command, bench.written
    if as_json:
        masks = None if written is None else str(Path(written))
        texts = [f"{mark.kind} {mark.text}" for mark in bench.marks]
        console.lines(json.dumps({"command": command, "masks": masks, "marks": texts}))
    elif command is not None:
        console.lines(command)
    if command is None:
        console.say("nothing was pointed at")
