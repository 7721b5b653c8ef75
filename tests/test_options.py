"""Every option is said once: commands, job files, fingerprints and option dataclasses follow the table."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import NoneType
from typing import Any, get_args, get_type_hints

import pytest
import typer
from hypothesis import given, settings
from hypothesis import strategies as st

from vinpaint_cli import options as table
from vinpaint_cli.batch.ray.cluster import RayOptions
from vinpaint_cli.batch.schema import read_value, unknown_key
from vinpaint_cli.cli.app import make_app
from vinpaint_cli.cli.command import add_commands, command
from vinpaint_cli.cli.console import Console
from vinpaint_cli.evaluate.masks import EvaluateMasksOptions
from vinpaint_cli.evaluate.run import EvaluateOptions
from vinpaint_cli.masks.prompts import PromptOptions
from vinpaint_cli.masks.sources.options import MaskOptions
from vinpaint_cli.masks.text.options import TextOptions
from vinpaint_cli.options import REQUIRED, TABLE, Option, build, job_options, options_of, placed_values
from vinpaint_cli.pipeline.options import FitOptions, RemoveOptions, WorkOptions
from vinpaint_cli.pipeline.progress import SilentListener
from vinpaint_cli.resume.fingerprint import take_fingerprint
from vinpaint_cli.train.build import PackOptions
from vinpaint_cli.types import EncodeOptions

REMOVAL = (RemoveOptions, MaskOptions, TextOptions, PromptOptions, FitOptions, EncodeOptions, WorkOptions)
CLASSES = {
    kind.__name__: kind for kind in (*REMOVAL, RayOptions, EvaluateOptions, EvaluateMasksOptions, PackOptions)
}
COMMANDS = sorted({name for option in TABLE for name in option.commands.split()})
NOT_SAID = {"tracked", "whole"}
"""Fields in which the program itself notes masks that it has found."""


@pytest.fixture
def another_option(monkeypatch: pytest.MonkeyPatch) -> Iterator[Option]:
    """A row that was not there before, for a field that no option has."""
    row = Option(
        "found_mask", "PATH", "A mask found before.", place="MaskOptions.tracked", commands="remove batch"
    )
    monkeypatch.setattr(table, "TABLE", (*TABLE, row))
    forget()
    yield row
    monkeypatch.undo()
    forget()


def forget() -> None:
    table.job_options.cache_clear()
    table._placed.cache_clear()


def run(app: typer.Typer, *arguments: str) -> None:
    program = typer.main.get_command(app)
    program.main(list(arguments), prog_name="vinpaint", standalone_mode=False, obj=Console())


def probe(name: str) -> tuple[typer.Typer, list[dict[str, Any]]]:
    """A command with all options of another, and the values it was called with."""
    seen: list[dict[str, Any]] = []

    @command(name)
    def look(values: dict[str, Any], given: dict[str, Any]) -> None:
        """Look."""
        seen.extend([values, given])

    app = typer.Typer(callback=None)
    add_commands(app, look=look)
    return app, seen


def test_a_new_row_is_an_option_a_job_key_and_part_of_the_fingerprint(
    another_option: Option, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    app, seen = probe("remove")
    run(app, "in.mp4", "--found-mask", "m.png")
    assert build(RemoveOptions, seen[0]).mask.tracked == "m.png"
    assert seen[1] == {"input": "in.mp4", "found_mask": "m.png"}
    run(app, "--help")
    assert "A mask found before." in capsys.readouterr().out
    assert job_options()["found_mask"] is another_option
    assert read_value("found_mask", "m.png") == "m.png"
    assert "did you mean 'found_mask'" in unknown_key("found-mask")
    clip = tmp_path / "clip.mkv"
    clip.write_bytes(b"clip")
    taken = take_fingerprint(clip, build(RemoveOptions, {"found_mask": "m.png"}), "out.mkv", SilentListener())
    assert taken.options["--found-mask"] == "m.png"


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_takes_each_key_and_spelling_once(name: str) -> None:
    options = options_of(name)
    spelled = Counter(part for option in options if not option.is_argument
                      for spelling in option.spellings for part in spelling.split("/"))  # fmt: skip
    assert {*Counter(option.key for option in options).values(), *spelled.values()} <= {1}


def test_every_option_of_every_command_is_in_the_table() -> None:
    completion = {"install_completion", "show_completion"}
    found = {
        name: {one.name.rstrip("_") for one in command.params} - completion for name, command in commands()
    }
    assert found == {name: {option.key for option in options_of(name)} for name in COMMANDS}


def commands() -> Iterator[tuple[str, Any]]:
    """Every command by its name in the table."""
    program: Any = typer.main.get_command(make_app())
    yield "vinpaint", program
    for name, below in program.commands.items():
        for last, one in getattr(below, "commands", {"": below}).items():
            trained = name == "train" and last not in ("pack", "export", "agreement")
            yield "train-network" if trained else f"{name}-{last}".rstrip("-"), one


def test_a_function_wants_its_options_in_the_types_they_have() -> None:
    for name, one in commands():
        options = {option.key: option for option in options_of(name)}
        hints = get_type_hints(inspect.unwrap(one.callback))
        wanted = hints.keys() - {"console", "values", "given", "return"}
        assert wanted <= options.keys()
        for key in wanted:
            option = options[key]
            kind: Any = tuple[str, ...] if option.kind is tuple else option.kind
            may_lack = option.default is None and option.kind is not tuple
            assert hints[key] == (kind | None if may_lack else kind), (name, key)


@pytest.mark.parametrize("option", [one for one in TABLE if one.place and not one.place.startswith("Job.")],
                         ids=lambda option: option.place)  # fmt: skip
def test_a_place_has_the_kind_and_the_default_of_its_option(option: Option) -> None:
    name, _, attribute = option.place.partition(".")
    kind = CLASSES[name]
    hint = get_type_hints(kind)[attribute]
    kinds = [one for one in get_args(hint) if one is not NoneType] if NoneType in get_args(hint) else [hint]
    assert kinds == [tuple[str, ...] if option.kind is tuple else option.kind]
    if name != "RayOptions" and option.kind is not tuple:  # whose defaults hold with --engine ray alone
        assert getattr(kind(), attribute) == option.default


@pytest.mark.parametrize("kind", REMOVAL)
def test_every_field_of_a_removal_has_one_option(kind: type) -> None:
    places = Counter(option.place for option in TABLE)
    said = [field for field in fields(kind) if not is_dataclass(field.default_factory)]
    assert {field.name: places[f"{kind.__name__}.{field.name}"] for field in said} == {
        field.name: int(field.name not in NOT_SAID) for field in said
    }


def test_batch_takes_what_a_job_file_may_say() -> None:
    taken = {option.key for option in options_of("batch")}
    assert {*job_options()} - taken == {"input"}
    placed = {option.key for option in options_of("remove") if option.place.split(".")[0] in CLASSES}
    assert placed - {*job_options()} == {"address", "shards", "cpus_per_worker", "gpus_per_worker"}


def test_labels_of_fingerprints_are_those_of_work_folders_begun_before() -> None:
    options = build(RemoveOptions, {})
    assert {option.fingerprint_label for option, _ in placed_values(options)} - {""} == {
        "--box", "--invert", "--mask-label", "--dilate", "--mask-hold", "--mask-resize", "--start", "--end",
        "--shadows", "--text", "--text-kind", "--text-region", "--text-min-height",
        "--click", "--not", "--box-prompt", "--candidate", "--segmenter", "--track", "--method",
        "--device", "--precision", "--propagate", "--flow", "--texture", "--complete", "--feather",
        "--memory", "--minutes", "--steps", "--config", "--seed", "--codec", "--crf", "--preset", "--pix-fmt",
        "--lossless",
    }  # fmt: skip


def test_a_value_goes_to_its_place() -> None:
    values = {"box": ("1,1,2,2",), "box_prompt": ("3,3,4,4",), "fit_seed": 7, "crf": 20.0, "keep_work": True}
    built = build(RemoveOptions, values)
    assert built.mask.boxes == ("1,1,2,2",)
    assert built.mask.prompts.boxes == ("3,3,4,4",)
    assert (built.fit.seed, built.encode.crf) == (7, 20.0)
    assert build(WorkOptions, values) == WorkOptions(keep=True)
    assert build(EvaluateOptions, {"method": (), "masks": ("box",)}) == EvaluateOptions(masks=("box",))


@settings(max_examples=20, deadline=None)
@given(st.fixed_dictionaries({}, optional={
    "mask": st.lists(st.just("m.png"), min_size=1, max_size=2), "dilate": st.integers(0, 9),
    "propagate": st.booleans(), "crf": st.floats(0, 50), "start": st.just("f2"),
}))  # fmt: skip
def test_the_command_line_and_a_job_file_mean_the_same(values: dict[str, Any]) -> None:
    words = []
    for key, value in values.items():
        flag = f"--{key}"
        if isinstance(value, bool):
            words.append(flag if value else f"--no-{key}")
        else:
            words += [
                word for one in (value if isinstance(value, list) else [value]) for word in (flag, str(one))
            ]
    app, seen = probe("remove")
    run(app, "in.mp4", *words)
    read = {key: read_value(key, value) for key, value in values.items()}
    assert build(RemoveOptions, seen[0]) == build(RemoveOptions, read)
    assert seen[1] == {"input": "in.mp4", **read}


def test_what_must_be_given_is_demanded() -> None:
    app, seen = probe("train-network")
    with pytest.raises(Exception, match="Missing"):
        run(app)
    assert not seen
    assert [option.key for option in options_of("train-network") if option.default is REQUIRED] == [
        "data",
        "out",
    ]
