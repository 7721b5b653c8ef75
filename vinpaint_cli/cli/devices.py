"""What ``--device`` may be on this machine."""

from __future__ import annotations

import typer

from vinpaint_cli.cli.console import console_of


def show_devices(context: typer.Context, value: bool) -> None:
    """List the devices on stdout and end, when the option is given."""
    if value:
        console_of(context).lines("\n".join(devices()))
        raise typer.Exit


def devices() -> list[str]:
    """One line per device: its name for ``--device``, and what it is."""
    import torch

    from vinpaint_cli.pipeline.device import available_memory
    from vinpaint_cli.plan.memory import format_bytes

    lines = []
    for index in range(torch.cuda.device_count()):
        about = torch.cuda.get_device_properties(index)
        lines.append(f"cuda:{index}  {about.name}, {format_bytes(about.total_memory)}")
    if torch.backends.mps.is_available():
        lines.append("mps     Apple GPU")
    cores = torch.get_num_threads()
    lines.append(f"cpu     {cores} threads, {format_bytes(available_memory())} of memory free")
    return lines
