from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from segment_anything import SamPredictor
from small_sam import SIDE, small_sam, write_weights

from vinpaint_cli.errors import OutOfMemoryError, UsageError, WeightsError
from vinpaint_cli.masks.segment import SAM_WEIGHTS, SEGMENTERS, open_segmenter, sam, sam_weights_here
from vinpaint_cli.masks.segment.sam import (
    SamSegmenter,
    box_around_mask,
    find_device,
    load_sam,
    low_resolution,
)
from vinpaint_cli.types import Box
from vinpaint_cli.weights import registry, store

RGB = np.random.default_rng(2).integers(0, 256, (40, 60, 3), np.uint8)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_weights(tmp_path_factory.mktemp("sam"))


@pytest.fixture
def in_store(weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine whose store knows the small network under SAM's names and has none of them yet."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hf/hub"))
    monkeypatch.setenv("VINPAINT_HOME", str(tmp_path / "home"))
    content = weights.read_bytes()
    digest, size = hashlib.sha256(content).hexdigest(), len(content)
    known = [replace(registry.entry(name), sha256=digest, size_bytes=size) for name in SAM_WEIGHTS]
    monkeypatch.setattr(registry, "entries", lambda: tuple(known))
    return weights


def reference(rgb: np.ndarray, several: bool = False, **prompts: object) -> np.ndarray:
    """What the package itself answers: the mask it trusts most."""
    predictor = SamPredictor(small_sam())
    predictor.set_image(rgb)
    masks, trust, _ = predictor.predict(multimask_output=several, return_logits=True, **prompts)  # type: ignore[arg-type]
    return 1 / (1 + np.exp(-masks[int(np.argmax(trust))]))


def test_registry_names_the_weights_auto_looks_for() -> None:
    assert {entry.name for entry in registry.entries() if entry.method == "sam"} == set(SAM_WEIGHTS)


@pytest.mark.parametrize(
    ("depth", "heads", "everywhere", "window"), [(3, 2, (1,), 3), (2, 4, (0, 1), 0), (4, 1, (2, 3), 5)]
)
def test_the_architecture_is_read_from_the_file(
    tmp_path: Path, depth: int, heads: int, everywhere: tuple[int, ...], window: int
) -> None:
    made = small_sam(depth, heads, everywhere, window)
    torch.save(made.state_dict(), tmp_path / "sam.pth")
    loaded = load_sam(tmp_path / "sam.pth")
    picture = torch.rand(1, 3, SIDE, SIDE)
    with torch.inference_mode():
        assert torch.equal(loaded.image_encoder(picture), made.image_encoder(picture))
    assert torch.equal(loaded.pixel_mean, made.pixel_mean)
    assert not loaded.training
    for name, value in made.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value)


def test_the_published_sizes_are_recognised() -> None:
    """Depth, heads, width and which blocks look at the whole picture, from shapes alone."""
    from segment_anything import sam_model_registry

    from vinpaint_cli.masks.segment.sam import build

    for name, heads, everywhere in (("vit_b", 12, [2, 5, 8, 11]), ("vit_h", 16, [7, 15, 23, 31])):
        with torch.device("meta"):
            published = sam_model_registry[name]()
        shapes = {key: tuple(value.shape) for key, value in published.state_dict().items()}
        encoder = build(shapes).image_encoder
        assert encoder.img_size == 1024
        assert {block.attn.num_heads for block in encoder.blocks} == {heads}
        assert [i for i, block in enumerate(encoder.blocks) if block.window_size == 0] == everywhere
        assert {block.window_size for block in encoder.blocks} == {0, 14}


def test_a_point_takes_the_mask_the_network_trusts_most(weights: Path) -> None:
    found = SamSegmenter(str(weights), "cpu").segment(RGB, [(20, 10)], [True], None)[0].probability
    point = {"point_coords": np.array([(20, 10)]), "point_labels": np.array([1])}
    expected = reference(RGB, several=True, **point)
    expected[10, 20] = 1
    assert np.allclose(found, expected, atol=1e-5)
    assert not np.allclose(found, reference(RGB, **point), atol=1e-3)


def test_a_box_and_several_points_are_passed_on(weights: Path) -> None:
    segmenter = SamSegmenter(str(weights), "cpu")
    boxed = segmenter.segment(RGB, [], [], Box(5, 6, 40, 30))[0].probability
    assert np.allclose(boxed, reference(RGB, box=np.array([5, 6, 40, 30])), atol=1e-5)
    points = {"point_coords": np.array([(20, 10), (50, 30)]), "point_labels": np.array([1, 0])}
    found = segmenter.segment(RGB, [(20, 10), (50, 30)], [True, False], None)[0].probability
    expected = reference(RGB, **points)
    expected[10, 20], expected[30, 50] = 1, 0
    assert np.allclose(found, expected, atol=1e-5)


def test_refining_asks_with_box_point_and_logits_of_the_prior(weights: Path) -> None:
    segmenter = SamSegmenter(str(weights), "cpu")
    prior = np.zeros((40, 60), np.float32)
    prior[10:30, 20:40] = 1
    expected = reference(
        RGB,
        box=np.array([19, 9, 41, 31]),
        point_coords=np.array([(29, 19)]),
        point_labels=np.array([1]),
        mask_input=low_resolution(prior, 32, (21, 32)),
    )
    assert np.allclose(segmenter.refine(RGB, prior), expected, atol=1e-5)


def test_a_picture_is_embedded_once(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked = []
    whole = SamPredictor.set_image
    monkeypatch.setattr(SamPredictor, "set_image", lambda self, rgb: (looked.append(1), whole(self, rgb))[1])
    segmenter = SamSegmenter(str(weights), "cpu")
    first = segmenter.segment(RGB, [(20, 10)], [True], None)[0].probability
    segmenter.segment(RGB.copy(), [], [], Box(5, 6, 40, 30))
    segmenter.refine(RGB, first)
    assert len(looked) == 1
    for shift in range(1, 5):
        segmenter.segment(np.roll(RGB, shift), [(20, 10)], [True], None)
    assert len(looked) == 5
    assert np.array_equal(segmenter.segment(RGB, [(20, 10)], [True], None)[0].probability, first)
    assert len(looked) == 6


def test_logits_fill_the_long_side() -> None:
    prior = np.zeros((20, 40), np.float32)
    prior[:, 20:] = 1
    sheet = low_resolution(prior, 16, (8, 16))
    assert sheet.shape == (1, 16, 16)
    assert (sheet[0, :8, 8:] == 8).all()
    assert (sheet[0, :8, :8] == -8).all()
    assert (sheet[0, 8:] == -8).all()


def test_the_box_around_a_hole_is_a_little_wider() -> None:
    hole = np.zeros((100, 100), np.bool_)
    hole[40:60, 0:40] = True
    assert box_around_mask(hole) == Box(0, 39, 42, 61)


def test_weights_come_through_the_store(in_store: Path) -> None:
    assert sam_weights_here() is None
    with pytest.raises(WeightsError, match="vinpaint weights pull sam-vit-b"):
        open_segmenter("sam")
    with pytest.raises(WeightsError, match="vinpaint weights pull sam-vit-l"):
        open_segmenter("sam", "sam-vit-l")
    store.import_file("sam-vit-l", in_store)
    assert open_segmenter("sam", device="cpu").weights == "sam-vit-l"  # type: ignore[attr-defined]
    store.import_file("sam-vit-b", in_store)
    assert open_segmenter("sam", device="cpu").weights == "sam-vit-b"  # type: ignore[attr-defined]


def test_auto_takes_sam_when_its_weights_are_here(in_store: Path) -> None:
    assert open_segmenter("auto").name == "grabcut"  # type: ignore[attr-defined]
    assert open_segmenter("auto", str(in_store), "cpu").name == "sam"  # type: ignore[attr-defined]
    store.import_file("sam-vit-h", in_store)
    segmenter = open_segmenter("auto", device="cpu")
    assert segmenter.name == "sam"  # type: ignore[attr-defined]
    assert segmenter.weights == "sam-vit-h"  # type: ignore[attr-defined]


def test_auto_passes_over_weights_that_are_damaged(in_store: Path) -> None:
    target = store.path("sam-vit-b")
    target.parent.mkdir(parents=True)
    target.write_bytes(in_store.read_bytes()[:-1])
    assert open_segmenter("auto").name == "grabcut"  # type: ignore[attr-defined]


def test_another_networks_file_is_refused(tmp_path: Path) -> None:
    torch.save({"conv.weight": torch.zeros(3, 3)}, tmp_path / "other.pth")
    with pytest.raises(WeightsError, match="does not describe a SAM network") as caught:
        open_segmenter("sam", str(tmp_path / "other.pth"))
    assert "\n" not in str(caught.value)
    state = small_sam().state_dict()
    state["mask_decoder.iou_token.weight"] = torch.zeros(2, 5)
    torch.save(state, tmp_path / "bent.pth")
    with pytest.raises(WeightsError, match=r"of another shape \(mask_decoder.iou_token.weight"):
        open_segmenter("sam", str(tmp_path / "bent.pth"))


def test_a_file_that_wants_to_run_code_is_not_opened(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple:
            return (Path.touch, (tmp_path / "sprung",))

    torch.save({"weight": torch.zeros(1), "trap": Trap()}, tmp_path / "trap.pth")
    with pytest.raises(WeightsError, match="not opened"):
        open_segmenter("sam", str(tmp_path / "trap.pth"))
    assert not (tmp_path / "sprung").exists()


def test_a_device_that_is_not_here_is_refused() -> None:
    assert find_device("cpu") == "cpu"
    assert find_device("auto") in ("cpu", "cuda", "mps")
    with pytest.raises(UsageError, match="is not on this machine, which has"):
        find_device("quantum")


def test_no_memory_is_said_in_our_words(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: SamPredictor, rgb: np.ndarray) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(SamPredictor, "set_image", full)
    with pytest.raises(OutOfMemoryError, match="--segmenter grabcut"):
        SamSegmenter(str(weights), "cpu").segment(RGB, [(20, 10)], [True], None)


def test_an_unknown_segmenter_is_refused() -> None:
    with pytest.raises(UsageError, match=r"did you mean 'grabcut'\? choose one of auto, grabcut, sam, sam2"):
        open_segmenter("grabcat")
    assert tuple(SEGMENTERS.targets) == ("grabcut", "sam", "sam2")
    assert sam.SamSegmenter.name == "sam"
