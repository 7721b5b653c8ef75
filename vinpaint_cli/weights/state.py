"""Loads and saves checkpoints without ever running code from inside one.

``.pth`` files are pickles: they are opened with ``weights_only=True``, which refuses code. What kind of
file it is gets decided by its first bytes, so a web page saved under a weights' name is called that.
"""

from __future__ import annotations

import json
import pickle
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vinpaint_cli.errors import OutputError, WeightsError, reason
from vinpaint_cli.util.atomic_write import atomic_write

NETWORK_KEYS = ("netG", "state_dict", "model", "generator", "params_ema", "params")
"""Keys under which training programs keep the network, in order of preference."""

PREFIXES = ("module.", "_orig_mod.")
"""What data-parallel and compiled wrappers put before every name."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A network's tensors by canonical name, and what the file says about them.

    ``metadata`` holds the plain values stored beside the network; ``config`` is the network's
    configuration among them, None when the file does not carry one.
    """

    tensors: Mapping[str, Tensor] = field(repr=False)
    metadata: Mapping[str, Any] = field(default_factory=dict)
    config: Mapping[str, Any] | None = None


def load_checkpoint(path: Path | str) -> Checkpoint:
    """Read a ``.pth`` or ``.safetensors`` file onto the CPU.

    Raises WeightsError when the file is missing, is no checkpoint (a web page, a pointer file), is
    damaged, wants to run code, or holds values that are not finite.
    """
    path = Path(path)
    kind = _kind(path)
    raw, metadata = _read_safetensors(path) if kind == "safetensors" else _read_torch(path)
    tensors = canonical(raw)
    if not tensors:
        raise WeightsError(f"{path} holds no tensors; it is not a network's weights, take another file")
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not tensor.isfinite().all():
            raise WeightsError(f"{path}: {name} holds values that are not finite; get the file again")
    return Checkpoint(tensors, metadata, _config(metadata, path))


def read_metadata(path: Path | str) -> dict[str, Any]:
    """Metadata of a ``.safetensors`` file, without reading its tensors; {} for any other checkpoint.

    Raises WeightsError when it is missing, damaged or no checkpoint.
    """
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    if _kind(path) != "safetensors":
        return {}
    try:
        with safe_open(path, framework="pt") as file:
            return {key: _json(text) for key, text in (file.metadata() or {}).items()}
    except (SafetensorError, OSError, ValueError) as exc:
        raise WeightsError(f"{path} is damaged ({_line(exc)}); get the file again") from exc


def save_checkpoint(path: Path | str, network: nn.Module, metadata: Mapping[str, Any]) -> None:
    """Write a network as ``.safetensors``; values of ``metadata`` are stored as JSON.

    The file appears only when whole. Put the network's configuration under ``config`` and
    :func:`load_checkpoint` gives it back. Raises OutputError when it cannot be written.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    path = Path(path)
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as temporary:
            save_file(tensors, temporary, {key: json.dumps(value) for key, value in metadata.items()})
    except (OSError, SafetensorError) as exc:
        raise OutputError(f"cannot write weights to {path}: {reason(exc)}; choose another folder") from exc


def load_into(network: nn.Module, checkpoint: Checkpoint, path: Path | str) -> None:
    """Give a network the checkpoint's values as float32; WeightsError unless names and shapes agree.

    A network built on the ``meta`` device takes over the tensors instead of copying them.
    """
    expected = network.state_dict()
    check_shapes(checkpoint.tensors, {name: tuple(t.shape) for name, t in expected.items()}, path)
    tensors = {name: t.float() if t.is_floating_point() else t for name, t in checkpoint.tensors.items()}
    network.load_state_dict(tensors, strict=True, assign=any(t.is_meta for t in expected.values()))


def check_shapes(
    tensors: Mapping[str, Tensor], expected: Mapping[str, tuple[int, ...]], path: Path | str
) -> None:
    """Raise WeightsError that names missing and unexpected tensors, and those of another shape."""
    missing = [name for name in expected if name not in tensors]
    extra = [name for name in tensors if name not in expected]
    shapes = [
        f"{name} {tuple(tensors[name].shape)} instead of {shape}"
        for name, shape in expected.items()
        if name in tensors and tuple(tensors[name].shape) != shape
    ]
    found = (("missing", missing), ("unexpected", extra), ("of another shape", shapes))
    told = "; ".join(f"{len(names)} {what} ({_some(names)})" for what, names in found if names)
    if told:
        raise WeightsError(f"{path} holds the weights of another network: {told}; take another file")


def canonical(tensors: Mapping[str, Any]) -> dict[str, Tensor]:
    """Tensors by name, without the prefixes of wrappers; entries that are no tensors are left out."""
    found = {str(name): value for name, value in tensors.items() if isinstance(value, Tensor)}
    stripped = True
    while found and stripped:
        stripped = False
        for prefix in PREFIXES:
            if all(name.startswith(prefix) for name in found):
                found = {name.removeprefix(prefix): value for name, value in found.items()}
                stripped = True
    return found


def _kind(path: Path) -> str:
    try:
        with path.open("rb") as file:
            head = file.read(512)
    except OSError as exc:
        raise WeightsError(f"cannot read weights {path}: {exc.strerror}; check the path") from exc
    if head[4:9] == b"\0\0\0\0{":  # the header's length in eight bytes, then its JSON
        return "safetensors"
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if start.startswith(b"<"):
        raise WeightsError(f"{path} is a web page, not weights; download the file itself")
    if start.startswith(b"version https://git-lfs"):
        raise WeightsError(
            f"{path} is a Git LFS pointer, not the weights it stands for; fetch the file itself"
        )
    if head[:1] == b"\x80" or head.startswith(b"PK"):
        return "torch"
    raise WeightsError(f"{path} is neither a PyTorch checkpoint nor safetensors, or is damaged; get it again")


def _read_safetensors(path: Path) -> tuple[Mapping[str, Any], dict[str, Any]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  not a mapping
            texts = file.metadata() or {}
    except (SafetensorError, OSError, ValueError) as exc:
        raise WeightsError(f"{path} is damaged ({_line(exc)}); get the file again") from exc
    return tensors, {key: _json(text) for key, text in texts.items()}


def _read_torch(path: Path) -> tuple[Mapping[str, Any], dict[str, Any]]:
    damage = (
        OverflowError,
        RuntimeError,
        EOFError,
        OSError,
        ValueError,
        KeyError,
        IndexError,
        TypeError,
        AttributeError,
    )
    try:
        with warnings.catch_warnings():
            # What the pickle may hold does not depend on its protocol.
            warnings.filterwarnings("ignore", message="Detected pickle protocol")
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as exc:
        raise WeightsError(
            f"{path} is damaged or holds more than tensors ({_line(exc)}); it was not opened, "
            "get it from a source you trust or convert it to safetensors"
        ) from exc
    except damage as exc:
        raise WeightsError(f"{path} is damaged ({_line(exc)}); get the file again") from exc
    if not isinstance(content, Mapping):
        raise WeightsError(f"{path} holds a {type(content).__name__}, not a network's weights by name")
    plain = {str(key): value for key, value in content.items() if _is_plain(value)}
    for key in NETWORK_KEYS:
        if isinstance(content.get(key), Mapping):
            return content[key], plain
    return content, plain


def _is_plain(value: object) -> bool:
    if isinstance(value, Mapping):
        return all(_is_plain(item) for item in value.values())
    if isinstance(value, list | tuple):
        return all(_is_plain(item) for item in value)
    return value is None or isinstance(value, str | int | float | bool)


def _config(metadata: Mapping[str, Any], path: Path) -> Mapping[str, Any] | None:
    config = metadata.get("config")
    if config is None or isinstance(config, Mapping):
        return config
    raise WeightsError(f"{path}: its configuration cannot be read ({str(config)[:80]!r}); get the file again")


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _line(exc: BaseException) -> str:
    """First sentence of a foreign error, without torch's advice to switch the safety off."""
    text = str(exc).rpartition("WeightsUnpickler error:")[2].strip() or type(exc).__name__
    return text.splitlines()[0].split(". ")[0][:160]


def _some(names: list[str], most: int = 3) -> str:
    return ", ".join(names[:most]) + (", …" if len(names) > most else "")
