"""What every method of the table promises; a new one is picked up unedited.

A method with a network brings ``tests/methods/small_<name>.py`` (``_`` for ``-``) with
``write_weights(folder) -> path``.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from vinpaint_cli.errors import UsageError
from vinpaint_cli.methods import METHODS, load_method, method_names, method_spec
from vinpaint_cli.types import Clip, Method

SMALL = Path(__file__).parents[1] / "methods"


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Clips this small lose more to waiting for a second thread than they gain."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def build(name: str, folder: Path) -> Method:
    options: dict[str, object] = {"device": "cpu", "dtype": "fp32"}
    if method_spec(name).weights is not None:
        source = SMALL / f"small_{name.replace('-', '_')}.py"
        spec = importlib.util.spec_from_file_location(source.stem, source)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        options["weights"] = module.write_weights(folder)
    return load_method(name, **options)


@pytest.fixture(params=sorted(METHODS.targets), scope="module")
def method(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Method:
    return build(request.param, tmp_path_factory.mktemp(request.param))


def scene(frames: int = 7, height: int = 48, width: int = 64) -> Clip:
    """A smooth texture that moves by two pixels a frame behind a hole that stands still."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width + 2 * frames), indexing="ij")
    wide = torch.stack([(x * 0.31).sin(), (y * 0.23 + x * 0.11).cos(), (x * 0.17 - y * 0.29).sin()])
    wide = wide * 0.35 + 0.5
    pictures = torch.stack([wide[..., 2 * t : 2 * t + width] for t in range(frames)]).contiguous()
    holes = torch.zeros(frames, 1, height, width)
    holes[..., height // 3 : height // 2, width // 3 : width // 2] = 1
    return Clip(pictures, holes, tuple(range(frames)))


def with_holes(clip: Clip, holes: torch.Tensor) -> Clip:
    return Clip(clip.frames, holes, clip.indices)


def check(filled: torch.Tensor, clip: Clip) -> None:
    assert filled.shape == clip.frames.shape
    assert filled.dtype == torch.float32
    assert filled.isfinite().all()
    assert float(filled.min()) >= 0.0
    assert float(filled.max()) <= 1.0


@pytest.mark.parametrize("name", sorted(METHODS.targets))
def test_spec_is_sane(name: str) -> None:
    spec = method_spec(name)
    assert spec.name == name
    assert spec.title
    assert spec.paper
    assert spec.licence
    assert spec.multiple >= 1
    assert spec.window >= 1
    assert 1 <= spec.stride <= spec.window
    assert spec.reference_stride >= 0
    assert "fp32" in spec.dtypes
    assert spec.bytes_per_pixel > 0
    assert spec.size is None or all(side % spec.multiple == 0 for side in spec.size)


def test_is_a_method(method: Method) -> None:
    assert isinstance(method, Method)
    assert method.spec.name in METHODS.targets


def test_fills(method: Method) -> None:
    clip = scene()
    filled = method.fill(clip)
    check(filled, clip)
    inside = clip.holes.expand_as(filled) > 0
    assert filled[inside].std() > 1e-3


def test_input_is_left_alone(method: Method) -> None:
    clip = scene()
    frames, holes = clip.frames.clone(), clip.holes.clone()
    filled = method.fill(clip)
    filled.fill_(0.25)
    assert torch.equal(clip.frames, frames)
    assert torch.equal(clip.holes, holes)


def test_is_deterministic(method: Method) -> None:
    assert torch.equal(method.fill(scene()), method.fill(scene()))


def test_values_inside_the_hole_are_not_read(method: Method) -> None:
    clip = scene()
    other = Clip(torch.where(clip.holes > 0, 0.9, clip.frames), clip.holes, clip.indices)
    inside = clip.holes.expand_as(clip.frames) > 0
    assert torch.equal(method.fill(other)[inside], method.fill(clip)[inside])


@pytest.mark.parametrize("size", [(1, 48, 64), (2, 37, 53), (3, 101, 33)])
def test_any_length_and_size(method: Method, size: tuple[int, int, int]) -> None:
    clip = scene(*size)
    check(method.fill(clip), clip)


def test_no_hole(method: Method) -> None:
    clip = with_holes(scene(), torch.zeros(7, 1, 48, 64))
    check(method.fill(clip), clip)


def test_a_frame_that_is_all_hole(method: Method) -> None:
    clip = scene()
    holes = clip.holes.clone()
    holes[3] = 1
    check(method.fill(with_holes(clip, holes)), clip)


def test_a_clip_that_is_all_hole(method: Method) -> None:
    clip = with_holes(scene(3), torch.ones(3, 1, 48, 64))
    check(method.fill(clip), clip)


def test_a_hole_at_the_border(method: Method) -> None:
    clip = scene()
    holes = torch.zeros_like(clip.holes)
    holes[..., :6, :] = 1
    holes[2:5, :, :, -5:] = 1
    check(method.fill(with_holes(clip, holes)), clip)


def test_indices_need_not_start_at_zero(method: Method) -> None:
    clip = scene(4)
    later = Clip(clip.frames, clip.holes, (90, 91, 92, 93))
    assert torch.equal(method.fill(later), method.fill(clip))


def test_specs_are_listed_without_torch() -> None:
    code = (
        "import sys; from vinpaint_cli import methods as m; "
        "print([m.method_spec(n).name for n in m.method_names()], 'torch' in sys.modules)"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert told.strip() == f"{list(method_names())} False"


def test_unknown_method_names_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"did you mean 'sttn'.*propagate"):
        load_method("stn")
    with pytest.raises(UsageError, match="no method 'nothing'"):
        method_spec("nothing")


@pytest.mark.parametrize("name", ["propagate"])
def test_a_method_without_network_takes_no_weights(name: str) -> None:
    assert method_spec(name).weights is None
    with pytest.raises(UsageError, match="takes no --weights"):
        load_method(name, weights="file.pth")


def test_shares_below_half_are_seen(method: Method) -> None:
    """What propagation mostly knows is evidence: a pixel of share 0.3 may be read, one of 0.7 may not."""
    clip = scene()
    for share, seen in ((0.7, False), (0.3, True)):
        soft = clip.holes.clone()
        soft[..., 8:14, 8:14] = share
        bright = clip.frames.clone()
        bright[..., 8:14, 8:14] = 1.0
        one = method.fill(Clip(clip.frames, soft, clip.indices))
        other = method.fill(Clip(bright, soft, clip.indices))
        check(one, clip)
        assert bool((one - other).abs().max() > 1e-4) is seen
