"""VersionManager: numbers, content, parents, and finding a version again."""

import asyncio
from dataclasses import FrozenInstanceError
from hashlib import sha256
from typing import Any

import pytest

from domain.database import Database
from domain.errors import Conflict, InvalidValue, NotFound, VersioningError
from domain.prompts import PromptVersion, VersionStatus
from domain.versions import VersionManager

PROMPT = ("greeting", "system")


async def create(database: Database, version: str | None = None, **extra: Any) -> PromptVersion:
    manager = VersionManager(database)
    return await manager.create_version(*PROMPT, f"Hello {version}", version, **extra)


async def test_the_first_version_is_1_0_0_and_the_next_is_one_patch_higher(
    sqlite: Database,
) -> None:
    versions = [await create(sqlite) for _ in range(3)]

    assert [v.version for v in versions] == ["1.0.0", "1.0.1", "1.0.2"]


@pytest.mark.parametrize("status", [VersionStatus.DRAFT, VersionStatus.DEPRECATED])
async def test_the_automatic_number_is_above_those_of_any_status(
    sqlite: Database, status: VersionStatus
) -> None:
    await create(sqlite, "1.10.0")
    await create(sqlite, "1.9.0")
    await create(sqlite, "2.0.9", status=status)

    assert (await create(sqlite)).version == "2.0.10"


async def test_twenty_concurrent_versions_get_twenty_numbers(database: Database) -> None:
    made = await asyncio.gather(*(create(database) for _ in range(20)))

    assert {v.version for v in made} == {f"1.0.{n}" for n in range(20)}


@pytest.mark.parametrize(
    "version", ["1.0", "1.0.0.0", "v1.0.0", "01.0.0", "1.0.x", "", "１.0.0", "1.0.0\n", "1.0.-1"]
)
async def test_a_number_is_strictly_major_minor_patch(sqlite: Database, version: str) -> None:
    with pytest.raises(VersioningError, match="Invalid version format"):
        await create(sqlite, version)


async def test_a_number_too_big_to_count_on_is_refused(database: Database) -> None:
    await create(database, f"1.0.{2**31 - 1}")

    with pytest.raises(VersioningError, match="Invalid version format"):
        await create(database)
    with pytest.raises(VersioningError, match="Invalid version format"):
        await create(database, f"1.{2**31}.0")


async def test_a_taken_number_is_refused_by_name(sqlite: Database) -> None:
    await create(sqlite, "1.0.0")

    with pytest.raises(Conflict, match=r"Version 1\.0\.0 already exists for greeting\.system"):
        await create(sqlite, "1.0.0")


async def test_a_version_id_given_twice_makes_one_version(database: Database) -> None:
    first = await create(database, version_id="v-1")

    again = await create(database, version_id="v-1")

    assert again == first
    assert len(await VersionManager(database).list_versions(*PROMPT)) == 1


async def test_a_version_id_given_twice_for_different_things_is_refused(
    database: Database,
) -> None:
    await create(database, "1.0.0", version_id="v-1")

    with pytest.raises(Conflict, match="'v-1' is taken"):
        await VersionManager(database).create_version(*PROMPT, "Bye", version_id="v-1")
    with pytest.raises(Conflict, match="'v-1' is taken"):
        await VersionManager(database).create_version(
            *PROMPT, "Hello 1.0.0", "1.0.1", version_id="v-1"
        )


async def test_the_content_hash_knows_content_and_nothing_else(sqlite: Database) -> None:
    async def made(**extra: Any) -> str:
        version = await VersionManager(sqlite).create_version(*PROMPT, "Hi", **extra)
        return version.content_hash

    plain = await made()

    assert plain == sha256(b'["greeting","system","Hi",{},null]').hexdigest()
    assert await made(metadata={"a": 1}, created_by="ada", status=VersionStatus.DRAFT) == plain
    assert await made(defaults={"a": 1}) != plain
    assert await made(validation={"a": 1}) != plain


async def test_versions_are_immutable_copies(sqlite: Database) -> None:
    metadata = {"authors": ["ada"]}
    version = await create(sqlite, metadata=metadata)

    metadata["authors"].append("bob")
    version.metadata["authors"].append("eve")

    found = await VersionManager(sqlite).get_version_by_id(version.version_id)
    assert found is not None
    assert found.metadata == {"authors": ["ada"]}
    with pytest.raises(FrozenInstanceError):
        version.template = "changed"  # type: ignore[misc]


async def test_everything_given_comes_back_after_a_restart(database: Database) -> None:
    made = await create(
        database,
        "3.2.1",
        defaults={"name": "Ada", "deep": [1, {"x": None}]},
        validation={"required": ["name"]},
        metadata={"ü": "🎛️"},
        created_by="ada",
        tags=["stable", "beta", "stable"],
        status=VersionStatus.DRAFT,
    )
    restarted = Database(database.url.render_as_string(hide_password=False))

    found = await VersionManager(restarted).get_version_by_id(made.version_id)

    await restarted.dispose()
    assert found == made
    assert made.tags == ["beta", "stable"]
    assert PromptVersion.from_dict(made.to_dict()) == made


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("name", "x" * 201),
        ("name", "new\nline"),
        ("name", 7),
        ("prompt_type", ""),
        ("prompt_type", "a.b"),
        ("template", None),
        ("template", "nul \x00"),
        ("template", "\ud800"),
        ("tags", [""]),
        ("tags", "production"),
        ("status", "shipped"),
        ("defaults", [1]),
        ("metadata", {"at": object()}),
        ("metadata", {"rate": float("nan")}),
        ("version_id", ""),
        ("created_by", "\x00"),
    ],
)
async def test_a_field_out_of_range_is_named_and_nothing_is_written(
    sqlite: Database, field: str, value: object
) -> None:
    manager = VersionManager(sqlite)
    given: dict[str, Any] = {"name": "greeting", "prompt_type": "system", "template": "Hi"}

    with pytest.raises(InvalidValue, match=field):
        await manager.create_version(**given | {field: value})

    assert await manager.list_prompts() == []


async def test_the_parent_is_the_version_in_production(sqlite: Database) -> None:
    first = await create(sqlite, "1.0.0", tags=["production"])
    await create(sqlite, "1.1.0")

    assert (await create(sqlite, "2.0.0")).parent_version == first.version_id


async def test_without_production_the_parent_is_the_previous_latest(sqlite: Database) -> None:
    first = await create(sqlite, "1.0.0")
    await create(sqlite, "9.0.0", status=VersionStatus.DRAFT)

    assert first.parent_version is None
    assert (await create(sqlite, "1.5.0")).parent_version == first.version_id


async def test_a_parent_that_is_given_is_kept_and_must_exist(sqlite: Database) -> None:
    first = await create(sqlite, parent_version=None)
    await create(sqlite)

    assert (await create(sqlite, parent_version=first.version_id)).parent_version == (
        first.version_id
    )
    with pytest.raises(NotFound, match="Version not found: nobody"):
        await create(sqlite, parent_version="nobody")


async def test_latest_is_the_highest_that_may_be_served(sqlite: Database) -> None:
    manager = VersionManager(sqlite)
    await create(sqlite, "1.10.0")
    await create(sqlite, "1.9.0")
    draft = await create(sqlite, "2.0.0", status=VersionStatus.DRAFT)

    before = await manager.get_version(*PROMPT)
    await manager.update_status(draft.version_id, VersionStatus.PRODUCTION)
    after = await manager.get_version(*PROMPT)

    assert before is not None
    assert after is not None
    assert (before.version, after.version) == ("1.10.0", "2.0.0")


async def test_latest_falls_back_to_the_highest_of_any_status(sqlite: Database) -> None:
    await create(sqlite, "1.0.0", status=VersionStatus.ARCHIVED)
    await create(sqlite, "1.1.0", status=VersionStatus.DRAFT)

    found = await VersionManager(sqlite).get_version(*PROMPT)

    assert found is not None
    assert found.version == "1.1.0"


async def test_an_unknown_version_is_none_to_getters_and_not_found_to_actions(
    sqlite: Database,
) -> None:
    manager = VersionManager(sqlite)

    assert await manager.get_version(*PROMPT) is None
    assert await manager.get_version(*PROMPT, "1.0.0") is None
    assert await manager.get_version_by_id("nobody") is None
    assert await manager.production(*PROMPT) is None
    assert await manager.list_versions(*PROMPT) == []
    assert await manager.delete_version("nobody") is False
    for action in (
        manager.tag_version("nobody", "beta"),
        manager.untag_version("nobody", "beta"),
        manager.update_status("nobody", VersionStatus.ACTIVE),
    ):
        with pytest.raises(NotFound, match="Version not found: nobody"):
            await action


async def test_an_id_wins_over_a_number(sqlite: Database) -> None:
    first = await create(sqlite, "1.0.0")
    await create(sqlite, "2.0.0")

    found = await VersionManager(sqlite).get_version(*PROMPT, "2.0.0", first.version_id)

    assert found == first


async def test_versions_are_listed_highest_first_and_told_oldest_first(
    database: Database,
) -> None:
    manager = VersionManager(database)
    for version, tags in (("1.0.0", ["a"]), ("1.10.0", ["b"]), ("1.9.0", ["a", "c"])):
        await create(database, version, tags=tags)
        await manager.create_version("other", "system", "Hi", version, tags=tags)

    async def listed(**filters: Any) -> list[str]:
        return [v.version for v in await manager.list_versions(*PROMPT, **filters)]

    assert await listed() == ["1.10.0", "1.9.0", "1.0.0"]
    assert await listed(tags=["b", "c"]) == ["1.10.0", "1.9.0"]
    assert await listed(tags=["a"]) == ["1.9.0"]
    assert await listed(status=VersionStatus.DRAFT) == []
    history = await manager.get_version_history(*PROMPT)
    assert [v.version for v in history] == ["1.0.0", "1.10.0", "1.9.0"]
    assert await manager.list_prompts() == [PROMPT, ("other", "system")]
