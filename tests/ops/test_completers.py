"""What every completer of key frames promises, and how LaMa finds its weights and is given its pictures."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from scenes import block, wall

from vinpaint_cli.errors import UsageError, WeightsError
from vinpaint_cli.ops.complete import DEFAULT_COMPLETER, Completer, completer_names, open_completer
from vinpaint_cli.ops.complete.lama import MARGIN, SIDE, open_lama

SIZE = 72, 96
HOLE = block(*SIZE, (40, 24, 60, 44))


def write_network(path: Path, side: int = SIDE) -> Path:
    """A network with the inputs and the output of LaMa: it fills with the mean of what it sees, in levels."""
    image, mask, output = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, channels, side, side])
        for name, channels in (("image", 3), ("mask", 1), ("output", 3))
    )
    constants = [
        helper.make_tensor("one", TensorProto.FLOAT, [1], [1.0]),
        helper.make_tensor("little", TensorProto.FLOAT, [1], [1e-9]),
        helper.make_tensor("white", TensorProto.FLOAT, [1], [255.0]),
    ]
    steps = [
        ("Sub", ["one", "mask"], "known"),
        ("Mul", ["image", "known"], "shown"),
        ("GlobalAveragePool", ["shown"], "sum"),
        ("GlobalAveragePool", ["known"], "share"),
        ("Add", ["share", "little"], "divisor"),
        ("Div", ["sum", "divisor"], "mean"),
        ("Mul", ["mean", "mask"], "fill"),
        ("Add", ["shown", "fill"], "whole"),
        ("Mul", ["whole", "white"], "output"),
    ]
    nodes = [helper.make_node(kind, given, [name]) for kind, given, name in steps]
    graph = helper.make_graph(nodes, "tiny", [image, mask], [output], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, str(path))
    return path


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_network(tmp_path_factory.mktemp("lama") / "lama.onnx")


@pytest.fixture(params=completer_names())
def completer(request: pytest.FixtureRequest, weights: Path) -> Completer:
    return open_lama(weights) if request.param == "lama" else open_completer(request.param)


def test_only_the_hole_changes_and_nothing_in_it_is_read(completer: Completer) -> None:
    picture = 0.2 + 0.5 * wall(*SIZE).astype(np.float32) / 255
    hidden = np.where(HOLE[..., None], np.float32(np.nan), picture)
    done = completer(hidden, HOLE, None)
    assert done.shape == (*SIZE, 3)
    assert done.dtype == np.float32
    assert np.array_equal(done[~HOLE], picture[~HOLE])
    assert np.abs(done[HOLE].mean(0) - picture[HOLE].mean(0)).max() < 0.1
    assert np.array_equal(done, completer(picture, HOLE, None))


def test_a_picture_without_a_hole_is_kept(completer: Completer) -> None:
    picture = np.full((*SIZE, 3), 0.3, np.float32)
    assert np.array_equal(completer(picture, np.zeros(SIZE, bool), None), picture)


def test_a_name_that_is_not_there_is_told() -> None:
    assert DEFAULT_COMPLETER in completer_names()
    with pytest.raises(UsageError, match="did you mean 'lama'"):
        open_completer("llama")


def test_lama_sees_colours_as_red_green_blue_of_the_picture_at_its_own_scale(weights: Path) -> None:
    """The tile reaches 512 pixels; what lies beyond them is another colour and does not count."""
    picture = np.full((520, 1200, 3), (0.8, 0.5, 0.2), np.float32)
    picture[:, 600:] = 0, 0, 1
    hole = block(520, 1200, (200, 240, 300, 260))
    done = open_lama(weights)(picture, hole, None)
    assert np.allclose(done[hole], (0.8, 0.5, 0.2), atol=2e-3)


@pytest.mark.parametrize("hole", [(40, 30, 1160, 660), (0, 0, 1180, 100), (300, 0, 748, 700)])
def test_a_hole_that_no_tile_holds_is_filled_from_outside(hole: tuple[int, ...], weights: Path) -> None:
    """A tile of which nothing is known would be black."""
    holes = block(700, 1200, hole)
    picture = np.full((700, 1200, 3), (0.2, 0.4, 0.9), np.float32)
    picture[holes] = np.nan
    assert np.allclose(open_lama(weights)(picture, holes, None), (0.2, 0.4, 0.9), atol=1e-2)


def test_a_hole_that_fits_is_filled_in_one_piece(weights: Path) -> None:
    """What is left of it would else differ from what is right: each tile sees its own surroundings."""
    side = SIDE - 2 * MARGIN
    ramp = np.linspace(0, 1, 1200, dtype=np.float32)
    picture = np.broadcast_to(ramp[None, :, None], (600, 1200, 3))
    hole = block(600, 1200, (300, 80, 300 + side, 80 + side))
    done = open_lama(weights)(picture, hole, None)
    assert done[hole].std() < 1e-6


def test_weights_are_never_fetched(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VINPAINT_HOME", str(tmp_path))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    with pytest.raises(WeightsError, match="weights pull lama") as raised:
        open_completer("lama")
    assert "\n" not in str(raised.value)


def test_a_file_that_is_no_network_is_told(tmp_path: Path) -> None:
    (tmp_path / "lama.onnx").write_bytes(b"no network")
    with pytest.raises(WeightsError, match=rf"OpenCV {cv2.__version__} cannot read .*lama\.onnx"):
        open_lama(tmp_path / "lama.onnx")
