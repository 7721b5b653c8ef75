from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vinpaint_cli.errors import OutOfMemoryError, UsageError
from vinpaint_cli.plan.memory import default_budget, format_bytes, parse_memory, segment_limits
from vinpaint_cli.types import Box

REGION = Box(0, 0, 1000, 500)


@given(
    st.integers(1, 4000),
    st.integers(1, 2000),
    st.integers(0, 1 << 36),
    st.floats(1, 2000),
    st.integers(0, 1 << 30),
    st.integers(1, 40),
)
def test_limits_keep_to_the_budget_and_to_the_cap(
    width: int, height: int, free: int, per_pixel: float, fixed: int, shortest: int
) -> None:
    region = Box(0, 0, width, height)
    try:
        limits = segment_limits(
            region,
            bytes_free=free,
            bytes_per_pixel=per_pixel,
            fixed_bytes=fixed,
            longest=80,
            shortest=shortest,
        )
    except OutOfMemoryError:
        assert fixed + shortest * per_pixel * region.area > free * (1 - 1e-9)
    else:
        assert shortest <= limits.frames <= 80
        assert fixed + limits.frames * per_pixel * region.area <= free * (1 + 1e-9)
        assert limits.core >= limits.context


def test_much_memory_gives_the_longest_segment() -> None:
    limits = segment_limits(REGION, bytes_free=1 << 40, bytes_per_pixel=100)
    assert (limits.core, limits.context, limits.frames) == (48, 16, 80)


def test_little_memory_shortens_core_and_context() -> None:
    limits = segment_limits(REGION, bytes_free=20 * 100 * REGION.area, bytes_per_pixel=100)
    assert (limits.core, limits.context) == (12, 4)
    limits = segment_limits(REGION, bytes_free=3 * 100 * REGION.area, bytes_per_pixel=100)
    assert (limits.core, limits.context) == (1, 1)


def test_too_little_memory_names_both_figures() -> None:
    with pytest.raises(OutOfMemoryError, match=r"1000x500.*143\.1 MiB for 3 frames.*100\.0 MiB may be used"):
        segment_limits(REGION, bytes_free=100 << 20, bytes_per_pixel=100)


def test_nonsense_is_refused() -> None:
    with pytest.raises(ValueError, match="make no plan"):
        segment_limits(Box(3, 3, 3, 9), bytes_free=1 << 30, bytes_per_pixel=100)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("8G", 8 << 30),
        ("512m", 512 << 20),
        ("1.5GiB", 3 << 29),
        ("64KB", 64 << 10),
        ("50%", 500),
        ("12.5%", 125),
    ],
)
def test_memory_is_read(text: str, size: int) -> None:
    assert parse_memory(text, bytes_available=1000) == size


@pytest.mark.parametrize("text", ["8", "", "G", "-2G", "8X", "101%", "0%", "0M", "1e3M", "nan%"])
def test_memory_that_cannot_be_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--memory"):
        parse_memory(text, bytes_available=1000)


def test_the_default_leaves_room_for_others() -> None:
    assert 0 < default_budget(1 << 34) < 0.8 * (1 << 34)


@pytest.mark.parametrize(
    ("size", "text"), [(12, "12 B"), (1536, "1.5 KiB"), (512 << 20, "512.0 MiB"), (3 << 40, "3.0 TiB")]
)
def test_bytes_are_written_for_people(size: int, text: str) -> None:
    assert format_bytes(size) == text
