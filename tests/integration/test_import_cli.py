"""`rampart version import`, as it is typed and as it is printed; no server is needed."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.typed import Said

Rampart = Callable[..., Said]


@pytest.fixture
def rampart(alone: Rampart) -> Rampart:
    """Run `rampart …` on a database of its own, with a folder of two files at hand."""
    Path("prompts").mkdir()
    Path("prompts/greeting.system.md").write_text(
        "---\ntags: [production]\ndefaults: {name: you}\n---\nHello {{name}}!\n"
    )
    Path("prompts/farewell.user.txt").write_text("Bye {{name}}!\n")
    return alone


def lines(said: Said) -> list[str]:
    return [" ".join(line.split()) for line in said.out.splitlines()]


def test_a_folder_is_tried_taken_in_and_taken_in_again(rampart: Rampart) -> None:
    tried = rampart("version", "import", "prompts", "--dry-run")
    nothing = rampart("version", "list", "--json")
    taken = rampart("version", "import", "prompts/")
    again = rampart("version", "import", "prompts")
    shown = rampart("version", "show", "greeting.system", "--json")

    assert lines(tried)[-1] == "2 created; a dry run: nothing was written"
    assert nothing.json == []
    assert lines(taken) == [
        "file prompt version note",
        "farewell.user.txt farewell.user 1.0.0 created",
        "greeting.system.md greeting.system 1.0.0 created tagged production",
        "2 created",
    ]
    assert lines(again)[-1] == "2 unchanged"
    assert shown.json["template"] == "Hello {{name}}!"
    assert (shown.json["created_by"], shown.json["tags"]) == ("ann", ["production"])
    assert [said.code for said in (tried, taken, again)] == [0, 0, 0]


def test_what_was_done_is_told_as_json(rampart: Rampart) -> None:
    rampart("version", "import", "prompts")
    Path("prompts/farewell.user.txt").write_text("Goodbye {{name}}!\n")

    found = rampart("version", "import", "prompts", "--json", "--by", "bob").json

    assert [(one["file"], one["outcome"], one["version"]) for one in found] == [
        ("farewell.user.txt", "created", "1.0.1"),
        ("greeting.system.md", "unchanged", "1.0.0"),
    ]
    assert all(json.dumps(one) for one in found)


@pytest.mark.parametrize(
    ("text", "refusal"),
    [
        ("---\ntag: x\n---\nHi", "greeting.system.md: line 2: unknown field 'tag': allowed are"),
        ("Hi\n{{ name ", "greeting.system.md: line 2: unexpected end of template"),
        ("---\nparent: 9.9.9\n---\nHi", "greeting.system.md: parent '9.9.9' is no version of"),
    ],
)
def test_a_wrong_file_is_told_in_one_line_and_nothing_is_written(
    rampart: Rampart, text: str, refusal: str
) -> None:
    Path("prompts/greeting.system.md").write_text(text)

    refused = rampart("version", "import", "prompts")

    assert (refused.code, refused.out, refused.err.count("\n")) == (2, "", 1)
    assert refused.err.startswith(f"rampart: {refusal}")
    assert rampart("version", "list", "--json").json == []


def test_a_folder_that_is_not_there_is_told_in_one_line(rampart: Rampart) -> None:
    refused = rampart("version", "import", "nowhere")

    assert (refused.code, refused.err) == (2, "rampart: nowhere: there is no such folder\n")
