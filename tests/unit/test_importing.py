"""A folder of template files becomes versions: all or none, none twice; what is wrong is told."""

import asyncio
import os
from pathlib import Path
from typing import Any

import frontmatter
import pytest

from domain.database import Database
from domain.errors import Conflict, InvalidValue, NotFound, VersioningError
from domain.plan import RolloutRequest, preset
from domain.prompts import VersionStatus
from domain.rollouts import RolloutManager
from domain.routing import RoutingManager
from domain.templates.document import Document
from domain.templates.folder import read
from domain.templates.importing import Imported, Outcome, VersionImporter
from domain.versions import VersionManager

GREETING = """\
---
version: 1.0.0
defaults: {tone: warm}
validation:
  tone: {enum: [warm, dry]}
tags: [production]
metadata: {owner: ann, since: 2026-11-01}
---

Write to {{name}} in a {{tone}} tone.
"""


def write(folder: Path, **files: str) -> Path:
    """Write files; `__` in a name stands for a dot, `_in_` for a folder's slash."""
    for name, text in files.items():
        path = folder / name.replace("_in_", "/").replace("__", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


async def take_in(database: Database, folder: Path, **options: Any) -> list[Imported]:
    return await VersionImporter(database).take_in(read(folder), **options)


def said(found: list[Imported]) -> list[tuple[str, str, str]]:
    return [(one.file, one.outcome.value, one.version.version) for one in found]


async def numbers(database: Database, name: str = "greeting") -> list[str]:
    return [one.version for one in await VersionManager(database).list_versions(name, "system")]


async def test_a_folder_becomes_versions_with_all_that_their_files_say(
    database: Database, tmp_path: Path
) -> None:
    write(tmp_path, greeting__system__md=GREETING, farewell_in_user__txt="Bye {{name}}\n")

    found = await take_in(database, tmp_path, by="ann")

    assert said(found) == [
        ("farewell/user.txt", "created", "1.0.0"),
        ("greeting.system.md", "created", "1.0.0"),
    ]
    made = await VersionManager(database).production("greeting", "system")
    assert made is not None
    assert made.template == "Write to {{name}} in a {{tone}} tone."
    assert (made.defaults, made.validation) == (
        {"tone": "warm"},
        {"tone": {"enum": ["warm", "dry"]}},
    )
    assert made.metadata == {"owner": "ann", "since": "2026-11-01"}
    assert (made.created_by, made.status, made.tags) == (
        "ann",
        VersionStatus.ACTIVE,
        ["production"],
    )


async def test_importing_again_changes_nothing(database: Database, tmp_path: Path) -> None:
    write(tmp_path, greeting__system__md=GREETING)
    first = await take_in(database, tmp_path)
    epochs = await RoutingManager(database).epochs()

    again = await take_in(database, tmp_path)
    (tmp_path / "greeting.system.md").write_bytes(GREETING.replace("\n", "\r\n").encode() + b"\r\n")
    windows = await take_in(database, tmp_path)

    assert [one.outcome for one in (*again, *windows)] == [Outcome.UNCHANGED] * 2
    assert again[0].version == windows[0].version == first[0].version
    assert await RoutingManager(database).epochs() == epochs
    assert await numbers(database) == ["1.0.0"]


async def test_changed_content_becomes_the_next_version_of_the_one_in_production(
    database: Database, tmp_path: Path
) -> None:
    write(tmp_path, greeting__system__md=GREETING)
    first = await take_in(database, tmp_path)
    write(tmp_path, greeting__system__md="---\ndefaults: {tone: dry}\n---\nHi {{name}}, {{tone}}")

    second = await take_in(database, tmp_path)
    write(tmp_path, greeting__system__md=GREETING)
    back = await take_in(database, tmp_path)

    assert said(second) == [("greeting.system.md", "created", "1.0.1")]
    assert second[0].version.parent_version == first[0].version.version_id
    assert said(back) == [("greeting.system.md", "unchanged", "1.0.0")]


async def test_a_version_rolled_back_since_does_not_come_back_with_the_next_import(
    sqlite: Database, tmp_path: Path
) -> None:
    versions = VersionManager(sqlite)
    await versions.create_version("greeting", "system", "Hello", "0.9.0", tags=["production"])
    write(tmp_path, greeting__system__md=GREETING)
    await take_in(sqlite, tmp_path)
    await versions.revert("greeting", "system", reason="it was bad")

    again = await take_in(sqlite, tmp_path)

    assert (again[0].outcome, again[0].note) == (Outcome.UNCHANGED, "not tagged production")
    in_production = await versions.production("greeting", "system")
    assert in_production is not None
    assert in_production.version == "0.9.0"


async def test_known_content_under_another_number_is_not_made_again_and_told(
    sqlite: Database, tmp_path: Path
) -> None:
    await take_in(sqlite, write(tmp_path, greeting__system__md=GREETING))

    renumbered = write(tmp_path, greeting__system__md=GREETING.replace("1.0.0", "2.0.0"))
    found = await take_in(sqlite, renumbered)

    assert found[0].note == "same content as 1.0.0, so there is no 2.0.0"
    assert await numbers(sqlite) == ["1.0.0"]


async def test_a_file_may_name_its_parent_by_number(sqlite: Database, tmp_path: Path) -> None:
    versions = VersionManager(sqlite)
    old = await versions.create_version("greeting", "system", "Hello")
    await versions.create_version("greeting", "system", "Hi", tags=["production"])

    write(tmp_path, greeting__system__md="---\nparent: 1.0.0\nstatus: draft\n---\nHey")
    found = await take_in(sqlite, tmp_path)

    assert found[0].version.parent_version == old.version_id
    assert found[0].version.status is VersionStatus.DRAFT


@pytest.mark.parametrize(
    ("front", "error", "refusal"),
    [
        ("parent: 3.0.0", NotFound, "b.system.md: parent '3.0.0' is no version of b.system"),
        ("version: 1.0", InvalidValue, "b.system.md: line 2: version: must be a valid string"),
        ('version: "1.0"', VersioningError, "b.system.md: Invalid version format: 1.0"),
        ("version: 1.0.0", Conflict, "b.system.md: Version 1.0.0 already exists for b.system"),
    ],
)
async def test_one_file_that_is_refused_keeps_all_out(
    database: Database, tmp_path: Path, front: str, error: type[Exception], refusal: str
) -> None:
    await VersionManager(database).create_version("b", "system", "Hello")
    write(tmp_path, a__system__md="A", b__system__md=f"---\n{front}\n---\nB", c__system__md="C")

    with pytest.raises(error) as refused:
        await take_in(database, tmp_path)

    assert refusal in str(refused.value)
    assert await VersionManager(database).list_prompts() == [("b", "system")]
    assert await numbers(database, "b") == ["1.0.0"]


async def test_a_live_rollout_keeps_its_production_tag(database: Database, tmp_path: Path) -> None:
    versions = VersionManager(database)
    await versions.create_version("greeting", "system", "Hello", tags=["production"])
    await versions.create_version("greeting", "system", "Hi")
    request = RolloutRequest(
        name="greeting", prompt_type="system", candidate="1.0.1", plan=preset("standard")
    )
    rollout = await RolloutManager(database).open(request, key="run-1")
    write(tmp_path, greeting__system__md=GREETING.replace("1.0.0", "2.0.0"))

    with pytest.raises(Conflict) as refused:
        await take_in(database, tmp_path)

    assert str(refused.value).startswith(
        f"greeting.system.md: rollout {rollout.id} is live on greeting.system and holds its"
    )
    assert await numbers(database) == ["1.0.1", "1.0.0"]


async def test_a_dry_run_says_what_would_be_done_and_does_nothing(
    database: Database, tmp_path: Path
) -> None:
    write(tmp_path, greeting__system__md=GREETING, b__system__md="B")

    found = await take_in(database, tmp_path, dry_run=True)

    assert said(found) == [
        ("b.system.md", "created", "1.0.0"),
        ("greeting.system.md", "created", "1.0.0"),
    ]
    assert found[1].version.tags == ["production"]
    assert await VersionManager(database).list_prompts() == []
    assert await RoutingManager(database).epochs() == {}


async def test_two_imports_at_once_make_each_version_once(
    database: Database, tmp_path: Path
) -> None:
    write(tmp_path, **{f"p{n}__system__md": f"text {n}" for n in range(10)})

    both = await asyncio.gather(*(take_in(database, tmp_path) for _ in range(4)))

    outcomes = [one.outcome for found in both for one in found]
    assert outcomes.count(Outcome.CREATED) == 10
    assert [await numbers(database, f"p{n}") for n in range(10)] == [["1.0.0"]] * 10


def test_names_of_files_say_whose_they_are(tmp_path: Path) -> None:
    write(tmp_path, a__system__md="1", b_in_user__txt="2", c__d__user__j2="3", e__user__md__j2="4")
    write(tmp_path, README__md="not a prompt", notes__pdf="nor this", _in_f="", __hidden__md="x")

    assert [draft.prompt for draft in read(tmp_path)] == [
        "a.system",
        "b.user",
        "c.d.user",
        "e.user",
    ]


@pytest.mark.parametrize(
    ("files", "refusal"),
    [
        ({"greeting__md": "x"}, "greeting.md: name it <name>.<prompt_type>.md, or"),
        ({"a__s__md": "x", "a__s__txt": "y"}, "a.s.txt: a.s.md is of a.s already: keep one"),
        ({"a__s__md": "x", "a_in_s__md": "y"}, "a/s.md|a.s.md: .* is of a.s already"),
        ({"a_in_b__s__md": "x"}, "a/b.s.md: prompt_type must not contain '.', got 'b.s'"),
        ({"a_in_b_in_s__md": "x"}, "a/b: folders within folders hold no prompts"),
        ({"a__s__md": ""}, "a.s.md: line 1: there is no template"),
        ({"a__s__md": "---\nversion: 1.0.0\n---\n\n"}, "a.s.md: line 3: there is no template"),
        ({"a__s__md": "---\nversion: 1.0.0\n"}, "a.s.md: line 1: the front matter is not closed"),
        ({"a__s__md": "---\na: [\n---\nx"}, "a.s.md: line 3: "),
        ({"a__s__md": "---\nfoo: 1\n---\nx"}, "a.s.md: line 2: unknown field 'foo': allowed are v"),
        ({"a__s__md": "---\nversion: 1.0.0\nstatus: gone\n---\nx"}, "a.s.md: line 3: status: "),
        ({"a__s__md": "---\n- a\n---\nx"}, "a.s.md: line 1: .*valid dictionary"),
        ({"a__s__md": "---\ntags: production\n---\nx"}, "a.s.md: line 2: tags: "),
        ({"a__s__md": "---\nversion: 1.0.0\nversion: 1.0.1\n---\nx"}, "line 3: key 'version' is"),
        ({"a__s__md": "---\nmetadata: &a [1]\ndefaults: *a\n---\nx"}, "line 3: aliases are not"),
        ({"a__s__md": "---\nmetadata: !!python/object:os.x {}\n---\nx"}, "line 2: could not det"),
        ({"a__s__md": "---\ndefaults: " + "[" * 1_500 + "\n---\nx"}, "a.s.md: line 1: not YAML"),
        ({"a__s__md": "---\nversion: 1.0.0\n---\n\n\nHi\n{% if %}"}, "a.s.md: line 7: Expected an"),
        ({"a__s__md": "Hi\n{{ x.y() }}"}, "a.s.md: line 2: Call is not allowed"),
        (
            {"a__s__md": "---\nvalidation: {x: {typ: a}}\n---\nx"},
            "a.s.md: line 2: validation: 'x': unk",
        ),
        (
            {"a__s__md": "---\nvalidation: {x: {enum: [1]}}\ndefaults: {x: 2}\n---\n"},
            "line 3: defa",
        ),
        (
            {"a__s__md": "---\ndefaults: {x: .nan}\n---\nx"},
            "a.s.md: line 2: defaults: variable 'x'",
        ),
        ({"a__s__md": "x" * 1_000_001}, "a.s.md: must have at most 1000000 bytes, has 1000001"),
        ({"README__md": "x"}, "there is no template: name one <name>"),
    ],
)
def test_what_is_wrong_with_a_folder_is_told_in_one_line_with_file_and_line(
    tmp_path: Path, files: dict[str, str], refusal: str
) -> None:
    write(tmp_path, **files)

    with pytest.raises(InvalidValue, match=refusal) as refused:
        read(tmp_path)

    assert "\n" not in str(refused.value)


def test_a_file_that_is_not_utf_8_is_told_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "a.s.md").write_bytes(b"Hi\nna\xefve")

    with pytest.raises(InvalidValue, match=r"^a\.s\.md: line 2: not UTF-8 text$"):
        read(tmp_path)


def test_a_byte_order_mark_is_no_part_of_a_template(tmp_path: Path) -> None:
    (tmp_path / "a.s.md").write_bytes(b"\xef\xbb\xbf---\nversion: 1.0.0\n---\nHi")

    assert read(tmp_path)[0].document.template == "Hi"


def test_links_may_lead_within_the_folder_alone(tmp_path: Path) -> None:
    outside, folder = tmp_path / "secret.txt", write(tmp_path / "prompts", a__s__md="A")
    outside.write_text("the password")
    (folder / "b.s.md").symlink_to(folder / "a.s.md")
    within = [draft.document.template for draft in read(folder)]

    (folder / "c.s.md").symlink_to(outside)
    with pytest.raises(InvalidValue, match=r"^c\.s\.md: it is a link that leads out of "):
        read(folder)

    assert within == ["A", "A"]


def test_a_linked_folder_outside_is_not_followed(tmp_path: Path) -> None:
    write(tmp_path / "elsewhere", s__md="the password")
    folder = write(tmp_path / "prompts", a__s__md="A")
    (folder / "b").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(InvalidValue, match=r"^b/s\.md: it is a link that leads out of "):
        read(folder)


def test_what_is_not_a_file_is_told_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.s.md")

    with pytest.raises(InvalidValue, match=r"^a\.s\.md: it is not a file$"):
        read(tmp_path)


def test_a_link_in_a_circle_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.s.md").symlink_to(tmp_path / "a.s.md")

    with pytest.raises(InvalidValue, match=r"^a\.s\.md: "):
        read(tmp_path)


def test_no_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(InvalidValue, match="there is no such folder"):
        read(tmp_path / "nowhere")


@pytest.mark.parametrize(
    "text",
    [
        GREETING,
        "no front matter\n",
        "\n\n---\nversion: 1.0.0\n---\n\n  indented\n\n---\nmore\n",
        "---\n---\njust text",
        "----\nversion: 1.0.0\n-----  \ntext",
        "a\n---\nb: c\n---\nd",
    ],
)
def test_front_matter_is_read_as_the_library_of_that_name_reads_it(text: str) -> None:
    ours, theirs = Document.parse(text), frontmatter.loads(text)

    assert ours.template == theirs.content
    assert ours.front.version == theirs.metadata.get("version")
    assert ours.front.defaults == theirs.metadata.get("defaults", {})
