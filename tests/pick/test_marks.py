"""What was pointed at: undo, several objects, and the command line that says the same."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vinpaint_cli.errors import UsageError
from vinpaint_cli.masks.prompts import PromptOptions, parse_prompts
from vinpaint_cli.pick.marks import (
    MOST_MARKS,
    Mark,
    MarkHistory,
    masks_command,
    prompt_command,
    prompt_options,
    quoted,
    read_mark,
)

SIZE = (640, 360)
CLICK = Mark("click", 1, 40, (412, 233))
NOT = Mark("not", 1, 40, (430, 250))
BOX = Mark("box", 2, 7, (10, 20, 30, 40))


def marked(*marks: Mark) -> MarkHistory:
    session = MarkHistory(SIZE)
    for mark in marks:
        session = session.add(mark)
    return session


def test_a_mark_is_written_as_the_command_line_has_it() -> None:
    assert CLICK.text == "412,233@f40"
    assert BOX.text == "2:10,20,30,40@f7"


def test_the_command_line_says_what_was_pointed_at() -> None:
    command = prompt_command("my clip.mp4", marked(BOX, CLICK, NOT).usable, PromptOptions())
    assert command == (
        "vinpaint remove 'my clip.mp4' --click 412,233@f40 --not 430,250@f40 --box-prompt 2:10,20,30,40@f7"
    )


@pytest.mark.parametrize(
    "name", ["a b.mp4", "it's.mp4", "-o.mp4", "$(rm x).mp4", "ünï 1.mp4", 'say "no".mp4']
)
def test_a_shell_gives_the_clip_back_as_it_was(name: str) -> None:
    words = shlex.split(prompt_command(name, (CLICK,), PromptOptions()))
    assert words[:2] == ["vinpaint", "remove"]
    assert words[2] in (name, f"./{name}")
    assert not words[2].startswith("-")
    assert shlex.split(masks_command(name, name))[2:] == [words[2], "--mask", name]


def test_another_shell_quotes_in_its_way() -> None:
    assert quoted(["vinpaint", "a b"], windows=True) == 'vinpaint "a b"'


def test_tools_are_named_only_when_they_are_not_the_defaults() -> None:
    tools = PromptOptions(segmenter="sam", segmenter_weights="sam-vit-b", tracker="warp")
    command = prompt_command("c.mp4", (CLICK,), tools)
    assert command.endswith("--segmenter sam --segmenter-weights sam-vit-b --track warp")
    options = prompt_options((CLICK, NOT, BOX), tools)
    assert (options.clicks, options.excludes, options.boxes) == ((CLICK.text,), (NOT.text,), (BOX.text,))
    assert (options.segmenter, options.segmenter_weights, options.tracker) == ("sam", "sam-vit-b", "warp")


def test_undo_and_redo_go_through_every_change() -> None:
    session = marked(CLICK, NOT).remove(CLICK).clear(1)
    assert session.marks == ()
    back = session.undo().undo()
    assert back.marks == (CLICK, NOT)
    assert back.undo().undo().undo().marks == ()
    assert back.redo().marks == (NOT,)
    assert back.redo().redo().redo() == session
    assert back.add(BOX).redo() == back.add(BOX)


def test_a_change_of_nothing_is_nothing_to_undo() -> None:
    session = marked(CLICK)
    assert session.remove(BOX) is session
    assert session.clear(3) is session
    assert MarkHistory(SIZE).undo() == MarkHistory(SIZE)


def test_a_box_replaces_the_box_of_the_same_object_and_frame() -> None:
    other = Mark("box", 2, 7, (1, 2, 50, 60))
    session = marked(BOX, CLICK, other)
    assert session.marks == (CLICK, other)
    assert session.undo().marks == (BOX, CLICK)
    assert len(marked(BOX, Mark("box", 1, 7, (1, 2, 50, 60)), Mark("box", 2, 8, (1, 2, 50, 60))).marks) == 3


def test_boxes_are_cut_to_the_frame() -> None:
    assert marked(Mark("box", 1, 0, (-5, 350, 30, 40))).marks[0].figures == (0, 350, 25, 10)
    for figures in ((700, 10, 20, 20), (5, 5, 1, 30), (5, 5, -10, 30)):
        with pytest.raises(UsageError, match="too small"):
            marked(Mark("box", 1, 0, figures))


@pytest.mark.parametrize("place", [(-1, 0), (640, 0), (0, 360)])
def test_a_click_outside_the_picture_is_refused(place: tuple[int, int]) -> None:
    with pytest.raises(UsageError, match="640×360"):
        marked(Mark("click", 1, 0, place))


def test_not_this_alone_says_nothing_of_an_object() -> None:
    correction = Mark("not", 1, 52, (5, 5))
    alone = marked(Mark("not", 2, 3, (5, 5)))
    assert (alone.usable, alone.unknown) == ((), (2,))
    session = marked(CLICK, correction)
    assert session.usable == (CLICK, correction)
    assert session.unknown == ()
    assert session.pointed == ((1, 40),)
    assert session.at(1, 52) == (correction,)


def test_there_is_an_end_to_marks() -> None:
    session = MarkHistory(SIZE, marks=(CLICK,) * MOST_MARKS)
    with pytest.raises(UsageError, match="remove some"):
        session.add(CLICK)


def test_marks_are_read_from_json() -> None:
    assert read_mark({"kind": "box", "object": 2, "frame": 7, "figures": [10, 20, 30, 40]}) == BOX


@pytest.mark.parametrize(
    "given",
    [
        None,
        [],
        {},
        {"kind": "click", "object": 1, "frame": 0, "figures": [1, 2, 3]},
        {"kind": "box", "object": 1, "frame": 0, "figures": [1, 2]},
        {"kind": "lasso", "object": 1, "frame": 0, "figures": [1, 2]},
        {"kind": ["click"], "object": 1, "frame": 0, "figures": [1, 2]},
        {"kind": "click", "object": True, "frame": 0, "figures": [1, 2]},
        {"kind": "click", "object": 1, "frame": 0.5, "figures": [1, 2]},
        {"kind": "click", "object": 1, "frame": "0", "figures": [1, 2]},
        {"kind": "click", "object": 1, "frame": 0, "figures": "12"},
        {"kind": "click", "object": 0, "frame": 0, "figures": [1, 2]},
        {"kind": "click", "object": 1, "frame": -1, "figures": [1, 2]},
        {"kind": "click", "object": 1, "frame": 10**9, "figures": [1, 2]},
    ],
)
def test_what_is_no_mark_is_refused_in_one_line(given: object) -> None:
    with pytest.raises(UsageError) as caught:
        read_mark(given)
    assert "\n" not in str(caught.value)


points = st.builds(
    Mark,
    st.sampled_from(["click", "not"]),
    st.integers(1, 3),
    st.integers(0, 5),
    st.tuples(st.integers(0, 639), st.integers(0, 359)),
)
boxes = st.builds(
    Mark,
    st.just("box"),
    st.integers(1, 3),
    st.integers(0, 5),
    st.tuples(st.integers(-9, 600), st.integers(-9, 330), st.integers(12, 90), st.integers(12, 90)),
)


@given(st.lists(points | boxes, max_size=12))
def test_whatever_was_pointed_at_can_be_read_back(marks: list[Mark]) -> None:
    session = marked(*marks)
    read = parse_prompts(prompt_options(session.usable, PromptOptions()), SIZE, corrections=True)
    figures = sum(len(prompt.points) + (prompt.box is not None) for prompt in read)
    assert figures == len(session.usable)
    shown = {(prompt.object, prompt.when.frame) for prompt in read if prompt.box or any(prompt.labels)}
    assert shown == set(session.pointed)
