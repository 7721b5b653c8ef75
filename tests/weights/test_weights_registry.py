from __future__ import annotations

from pathlib import Path

import pytest

from vinpaint_cli.errors import WeightsError
from vinpaint_cli.methods import method_names, method_spec
from vinpaint_cli.weights import registry

ENTRY = """
[net]
method = "sttn"
format = "pth"
source = "hub:someone/something"
file = "net.pth"
revision = "main"
sha256 = "0123456789abcdef"
size_bytes = 10
licence = "MIT"
"""


def test_names_are_those_the_project_speaks_of() -> None:
    names = [item.name for item in registry.entries()]
    expected = {
        "sttn-official",
        "sam-vit-b",
        "sam-vit-l",
        "sam-vit-h",
        "raft-large",
        "vgg16",
        "vgg19",
        "lama",
    }
    assert expected <= set(names)
    assert len(names) == len(set(names))


def test_every_hub_entry_is_pinned_by_a_whole_hash() -> None:
    for item in registry.entries():
        assert len(item.sha256) == 64 or item.source.startswith("torchvision:")
        assert item.licence


def test_prefix_hashes_are_those_in_the_file_names() -> None:
    for item in registry.entries():
        if len(item.sha256) < 64:
            assert Path(item.file).stem.endswith(item.sha256)


@pytest.mark.parametrize("name", method_names())
def test_default_weights_of_methods_are_listed(name: str) -> None:
    weights = method_spec(name).weights
    if weights:
        assert registry.entry(weights).method == name


def test_bundled_files_are_there() -> None:
    folder = Path(registry.__file__).parent / "bundled"
    bundled = {item.file for item in registry.entries() if item.bundled}
    assert {path.name for path in folder.glob("*.safetensors")} == bundled


def test_an_entry_is_read() -> None:
    (item,) = registry.parse(ENTRY)
    assert (item.name, item.source, item.size_bytes) == ("net", "hub:someone/something", 10)
    assert not item.bundled
    (item,) = registry.parse(ENTRY.replace("hub:someone/something", "bundled"))
    assert item.bundled


def test_unknown_name_is_answered_with_near_ones() -> None:
    with pytest.raises(WeightsError, match="did you mean sttn-official"):
        registry.entry("sttn-oficial")
    with pytest.raises(WeightsError, match="known are"):
        registry.entry("???")


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('method = "sttn"', "", "method is missing"),
        ('method = "sttn"', "method = 3", "method must be text"),
        ('format = "pth"', 'format = "exe"', "format must be one of"),
        ("hub:someone/something", "http://example.com", "source must be"),
        ("net.pth", "../net.pth", "relative path"),
        ("net.pth", "/net.pth", "relative path"),
        ("0123456789abcdef", "0123", "sha256"),
        ("0123456789abcdef", "0123456789ABCDEF", "sha256"),
        ("size_bytes = 10", "size_bytes = -1", "size_bytes"),
        ("size_bytes = 10", "size_bytes = true", "size_bytes"),
        ("size_bytes = 10", "size_bytes = 10\ncolour = 1", "colour is not a key"),
        ("[net]", "[net", "not TOML"),
        ("[net]", "", "outside an entry"),
    ],
)
def test_a_wrong_entry_is_told(old: str, new: str, told: str) -> None:
    with pytest.raises(WeightsError, match=told):
        registry.parse(ENTRY.replace(old, new))
