"""The shape of the house: who may import whom, what `--help` may load, that every room says what it is."""

from __future__ import annotations

import ast
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from vinpaint_cli.methods import METHODS

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "vinpaint_cli"
HELP_SECONDS = 0.6
HELP_TOLERANCE = 2.5

# Rooms of one level do not know each other.
LEVELS = (
    ("types", "errors"),
    ("util",),
    ("options", "plan", "weights"),
    ("video", "ops", "nets", "metrics"),
    ("masks", "methods"),
    ("pipeline",),
    ("mask_making",),
    ("resume",),
    ("removal",),
    ("evaluate", "train", "pick"),
    ("batch",),
    ("cli",),
)
RANK = {room: rank for rank, rooms in enumerate(LEVELS) for room in rooms}
OUTSIDE = {"", "__main__"}
ONLY_IN = {
    "av": ("video",),
    "typer": ("cli",),
    "rich": ("cli",),
    "click": ("cli",),
    "huggingface_hub": ("weights.store",),
    "ray": ("batch.ray",),
    "bottle": ("pick.server",),
    "filelock": ("resume.lock",),
    "jinja2": ("util.pages",),
    "efficientnet_lite_pytorch": ("metrics.perceptual",),
}
LIGHT_ROOMS = ("nets", "ops", "plan", "train")


@dataclass(frozen=True)
class Import:
    """One name that one module imports; ``eager`` when it happens as the module is loaded."""

    module: str
    target: str
    line: int
    eager: bool

    @property
    def text(self) -> str:
        return f"vinpaint_cli.{self.module}:{self.line} imports {self.target}"


def module_name(path: Path) -> str:
    """Dotted name below the package; the package itself is ''."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}
TREES = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in MODULES.items()}


def is_typing_only(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def walk(node: ast.AST, eager: bool = True) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool]]:
    """Every import statement below a node, with whether loading the module runs it."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child, eager
        else:
            lazy = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from walk(child, eager and not lazy and not is_typing_only(child))


def targets(name: str, node: ast.Import | ast.ImportFrom) -> list[str]:
    """Absolute dotted names an import statement asks for."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    base = node.module or ""
    if node.level:
        parts = ["vinpaint_cli", *name.split(".")] if name else ["vinpaint_cli"]
        is_package = MODULES[name].name == "__init__.py"
        kept = parts[: len(parts) - node.level + is_package]
        base = ".".join([*kept, *([node.module] if node.module else [])])
    below = [f"{base}.{alias.name}" for alias in node.names]
    return [full if inner(full) in MODULES else base for full in below]


def inner(target: str) -> str | None:
    """Name below the package, None for what is not ours."""
    if target == "vinpaint_cli":
        return ""
    return target.removeprefix("vinpaint_cli.") if target.startswith("vinpaint_cli.") else None


IMPORTS = [
    Import(name, target, node.lineno, eager)
    for name, tree in TREES.items()
    for node, eager in walk(tree)
    for target in targets(name, node)
]


def room(name: str) -> str:
    return name.partition(".")[0]


def test_every_room_has_a_level() -> None:
    assert {room(name) for name in MODULES} - OUTSIDE <= set(RANK)
    assert len(IMPORTS) > 20


def test_imports_point_down() -> None:
    wrong = []
    for one in IMPORTS:
        target = inner(one.target)
        if target is None or room(one.module) in OUTSIDE or target == "":
            continue
        here, there = room(one.module), room(target)
        if here != there and RANK.get(there, 99) >= RANK[here]:
            wrong.append(one.text)
    assert not wrong


def test_methods_do_not_know_each_other() -> None:
    methods = {".".join(target.split(".")[1:3]).partition(":")[0] for target in METHODS.targets.values()}
    assert "methods.telea" in methods
    wrong = []
    for one in IMPORTS:
        here, there = (".".join(name.split(".")[:2]) for name in (one.module, inner(one.target) or ""))
        if {here, there} <= methods and here != there:
            wrong.append(one.text)
    assert not wrong


def test_options_and_plan_need_the_standard_library_alone() -> None:
    allowed = sys.stdlib_module_names | {"vinpaint_cli"}
    assert not [
        one.text
        for one in IMPORTS
        if room(one.module) in ("options", "plan") and one.target.partition(".")[0] not in allowed
    ]


@pytest.mark.parametrize("library", ONLY_IN)
def test_a_library_stays_in_its_room(library: str) -> None:
    homes = ONLY_IN[library]
    assert not [
        one.text
        for one in IMPORTS
        if one.target.partition(".")[0] == library
        and not any(one.module == home or one.module.startswith(f"{home}.") for home in homes)
    ]


def test_light_rooms_load_without_av_and_cv2() -> None:
    assert not [
        one.text
        for one in IMPORTS
        if one.eager and room(one.module) in LIGHT_ROOMS and one.target.partition(".")[0] in ("av", "cv2")
    ]


def test_no_import_goes_round_in_a_circle() -> None:
    graph: dict[str, set[str]] = {name: set() for name in MODULES}
    for one in IMPORTS:
        target = inner(one.target)
        if target and target in MODULES and one.module and target != one.module:
            graph[one.module].add(target)
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " -> ".join([*trail[trail.index(name) :], name])
        if name not in done:
            for target in sorted(graph[name]):
                visit(target, (*trail, name))
            done.add(name)

    for name in graph:
        visit(name, ())


@pytest.mark.parametrize("name", MODULES)
def test_every_module_says_what_it_is(name: str) -> None:
    assert (ast.get_docstring(TREES[name]) or "").strip()


def run_help(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *options, "-m", "vinpaint_cli", "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_help_loads_no_heavy_library() -> None:
    result = run_help("-X", "importtime")
    assert result.returncode == 0, result.stderr[-2000:]
    assert "remove" in result.stdout
    timed = [line for line in result.stderr.splitlines() if line.startswith("import time:")]
    loaded = {line.rpartition("|")[2].strip().partition(".")[0] for line in timed}
    assert "vinpaint_cli" in loaded
    assert not loaded & {"torch", "torchvision", "cv2", "av", "scenedetect", "huggingface_hub"}


def test_help_answers_at_once() -> None:
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        assert run_help().returncode == 0
        seconds.append(time.perf_counter() - start)
    assert statistics.median(seconds) < HELP_SECONDS * HELP_TOLERANCE, seconds
