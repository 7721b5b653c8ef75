"""Job files: what stands in them, on which line, and what is wrong with them."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from vinpaint_cli.batch.job_files import read_file, tables
from vinpaint_cli.batch.job_spec import Mistakes, RawJob

TOML = '''\
# [[job]] in a comment
top = 1

[defaults]          # feather = 7
"feather" = 3

[[job]]
input = """
[[job]]
output = "no"
"""
box = [
  "1,1,2,2",  # ]
  "[[job]]",
]
'quoted key' = 1
nested.key = 2
inline = { a = 1, b = [1,
2] }

  [[ job ]]
input = 'x = "y"'
last = """a""\\"""b"""
'''


def test_lines_of_toml() -> None:
    tomllib.loads(TOML)
    assert [(table.name, table.line, table.several) for table in tables(TOML)] == [
        ("", 1, False),
        ("defaults", 4, False),
        ("job", 7, True),
        ("job", 21, True),
    ]
    assert [table.keys for table in tables(TOML)] == [
        {"top": 2},
        {"feather": 5},
        {"input": 8, "box": 12, "quoted key": 16, "nested.key": 17, "inline": 18},
        {"input": 22, "last": 23},
    ]


def read(folder: Path, name: str, text: str | bytes) -> tuple[list[RawJob], list[str]]:
    """Jobs of a file and the mistakes in it, the folder cut off."""
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    mistakes = Mistakes()
    jobs = read_file(path, mistakes)
    return jobs, [str(mistake).replace(f"{folder}/", "") for mistake in mistakes.in_order()]


def values(job: RawJob) -> dict[str, object]:
    return {key: given.value for key, given in job.values.items()}


def test_toml(tmp_path: Path) -> None:
    text = '[defaults]\nfeather = 2\n[[job]]\ninput = "a.mp4"\n\nbox = "1,1,2,2"\n[[job]]\ninput = "b.mp4"\n'
    (first, second), mistakes = read(tmp_path, "jobs.toml", text)
    assert mistakes == []
    assert values(first) == {"input": "a.mp4", "box": "1,1,2,2"}
    assert first.values["box"].where == f"{tmp_path}/jobs.toml:6"
    assert first.values["box"].base == str(tmp_path)
    assert first.defaults["feather"].value == 2
    assert second.where == f"{tmp_path}/jobs.toml:7"


def test_toml_as_inline_tables(tmp_path: Path) -> None:
    jobs, mistakes = read(tmp_path, "jobs.toml", '\njob = [{input = "a.mp4"}, {input = "b.mp4", boxx = 1}]\n')
    assert [values(job) for job in jobs] == [{"input": "a.mp4"}, {"input": "b.mp4"}]
    assert mistakes == ["jobs.toml:2: unknown key 'boxx'; did you mean 'box'?"]


BAD_TOML = {
    "syntax": ("[[job]]\ninput = = 3\n", ["jobs.toml:2: is not TOML"]),
    "end": ('[[job]]\ninput = """a\n', ["jobs.toml:3: is not TOML"]),
    "outside": (
        'input = "a"\n\n[job2]\nx=1\n',
        ["jobs.toml:1: 'input' stands outside", "jobs.toml:3: 'job2' stands"],
    ),
    "one table": ("\n[job]\ninput = 'a'\n", ["jobs.toml:2: job is no list of tables; write [[job]]"]),
    "defaults": ("defaults = 3\n[[job]]\ninput = 'a'\n", ["jobs.toml:1: defaults is no table"]),
    "input of all": (
        "[defaults]\ninput = 'a'\n[[job]]\nbox='1'\n",
        ["jobs.toml:2: input cannot be a default"],
    ),
    "keys": (
        "[defaults]\nmetod = 'a'\n[[job]]\nCRF = 1\n",
        ["jobs.toml:2: unknown key 'metod'", "jobs.toml:4"],
    ),
    "empty": ("# nothing\n", ["jobs.toml has no jobs"]),
    "latin": (b"[[job]]\ninput = 'a'\nmask = '\xe4.png'\n", ["jobs.toml:3: is not UTF-8"]),
}


@pytest.mark.parametrize("kind", BAD_TOML)
def test_toml_that_is_wrong(tmp_path: Path, kind: str) -> None:
    text, expected = BAD_TOML[kind]
    _, mistakes = read(tmp_path, "jobs.toml", text)
    assert len(mistakes) == len(expected)
    for mistake, begin in zip(mistakes, expected, strict=True):
        assert mistake.startswith(begin)


def test_csv(tmp_path: Path) -> None:
    text = (
        '\ufeffinput,box,feather,mask,mask\r\n"a, b.mp4","1,1,2,2; 3,3,4,4",,m.png,n.png\r\n\r\n'
        '"two\nlines.mp4",,5,,\r\nlast.mp4\r\n'
    )
    (first, second, third), mistakes = read(tmp_path, "jobs.csv", text)
    assert mistakes == []
    assert values(first) == {"input": "a, b.mp4", "box": ["1,1,2,2", "3,3,4,4"], "mask": ["m.png", "n.png"]}
    assert values(second) == {"input": "two\nlines.mp4", "feather": "5"}
    assert [job.where.rpartition(":")[2] for job in (first, second, third)] == ["2", "4", "6"]


def test_tabs(tmp_path: Path) -> None:
    (job,), mistakes = read(tmp_path, "jobs.tsv", "input\tbox\na.mp4\t1,1,2,2\n")
    assert mistakes == []
    assert values(job) == {"input": "a.mp4", "box": ["1,1,2,2"]}


def test_csv_that_is_wrong(tmp_path: Path) -> None:
    _, mistakes = read(tmp_path, "jobs.csv", "input,boxes,crf,crf\na.mp4,1,2,3\nb.mp4,1,1,2,2\n")
    assert [line.partition(";")[0] for line in mistakes] == [
        "jobs.csv:1: unknown key 'boxes'",
        "jobs.csv:1: crf is there twice",
        "jobs.csv:3: 5 cells, but the header has 4",
    ]
    _, mistakes = read(tmp_path, "torn.csv", 'input\n"a.mp4\n')
    assert mistakes[0].startswith("torn.csv:2: is not CSV")


def test_json_lines(tmp_path: Path) -> None:
    lines = [
        json.dumps({"input": "new\nline.mp4", "box": ["1,1,2,2"], "crf": None}),
        "",
        '{"input": "ü.mp4"}',
    ]
    (first, second), mistakes = read(tmp_path, "jobs.jsonl", "\n".join(lines))
    assert mistakes == []
    assert values(first) == {"input": "new\nline.mp4", "box": ["1,1,2,2"]}
    assert second.where.endswith(":3")


def test_json_lines_that_are_wrong(tmp_path: Path) -> None:
    text = '{"input": "a"\n[1]\n{"input": "a", "input": "b"}\n{"inptu": "a"}\n' + "[" * 100_000
    _, mistakes = read(tmp_path, "jobs.jsonl", text)
    assert [line.partition(" ")[0] for line in mistakes] == [f"jobs.jsonl:{n}:" for n in (1, 2, 3, 4, 5)]
    assert "is there twice" in mistakes[2]
    assert "did you mean 'input'" in mistakes[3]


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    mistakes = Mistakes()
    assert read_file(tmp_path / "gone.toml", mistakes) == []
    assert "cannot be read (No such file" in str(mistakes.in_order()[0])
