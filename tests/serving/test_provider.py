"""Prompts as OpenFeature flags: values, variants, reasons, codes and events."""

import pytest
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import ErrorCode

from domain.database import Database
from domain.prompts import PromptVariant
from domain.segments.lanes import SegmentManager
from tests.house import USERS, House
from tests.serving.clients import DEFAULT, ask, client_of
from tests.serving.stage import EXPERIMENT, FLAG, split_house

ADA = EvaluationContext("ada")


async def test_a_user_gets_the_template_of_their_version_and_why(database: Database) -> None:
    house = await split_house(database)
    client = client_of(database)
    snapshot = await house.routing.snapshot("greeting", "system")
    assert snapshot

    for user in USERS[:50]:
        found, expected = ask(client, user), snapshot.evaluate(user)

        assert found.value == f"Hello {expected.version}"
        assert (found.variant, found.reason, found.error_code) == (expected.version, "SPLIT", None)
        assert found.flag_metadata == {
            "version_id": (await house.get(expected.version or "")).version_id,
            "experiment_id": EXPERIMENT,
            "epoch": expected.epoch,
        }


async def test_the_same_is_served_to_asynchronous_code(sqlite: Database) -> None:
    await split_house(sqlite)
    client = client_of(sqlite)

    for user in USERS[:20]:
        found = await client.get_string_details_async(FLAG, DEFAULT, EvaluationContext(user))

        assert found == ask(client, user)


async def test_without_an_experiment_everybody_gets_production(sqlite: Database) -> None:
    await House(sqlite).furnish()

    found = ask(client_of(sqlite), "ada")

    assert (found.value, found.variant, found.reason) == ("Hello 1.0.0", "1.0.0", "DEFAULT")
    assert found.flag_metadata.keys() == {"version_id", "epoch"}


async def test_an_object_is_the_version_with_what_renders_it(sqlite: Database) -> None:
    house = House(sqlite)
    version = await house.versions.create_version(
        "greeting", "system", "Hi {{name}}", defaults={"name": "you"}, metadata={"model": "small"},
        tags=["production"],
    )  # fmt: skip

    found = client_of(sqlite).get_object_value(FLAG, {}, ADA)

    assert found == {
        "template": "Hi {{name}}",
        "version": "1.0.0",
        "version_id": version.version_id,
        "defaults": {"name": "you"},
        "metadata": {"model": "small"},
    }


async def test_of_a_version_that_was_never_registered_the_default_is_served(
    sqlite: Database,
) -> None:
    house = await split_house(sqlite)
    await house.experiments.update_experiment_status(EXPERIMENT, "stopped")
    await unregistered(house)

    found = ask(client_of(sqlite), "ada")

    assert (found.value, found.reason, found.error_code) == (DEFAULT, "SPLIT", None)
    assert found.variant in {"7.0.0", "8.0.0"}


async def unregistered(house: House) -> None:
    variants = [PromptVariant("7.0.0", 0.5), PromptVariant("8.0.0", 0.5)]
    await house.experiments.create_experiment("greeting", "system", variants)


@pytest.mark.parametrize("key", ["nobody.system", "greeting", "", ".", "greeting.user", "a.b.c"])
async def test_an_unknown_flag_gives_the_default_the_reason_and_the_code(
    sqlite: Database, key: str
) -> None:
    await House(sqlite).furnish()

    found = client_of(sqlite).get_string_details(key, DEFAULT, ADA)

    assert (found.value, found.reason, found.error_code) == (
        DEFAULT,
        "ERROR",
        ErrorCode.FLAG_NOT_FOUND,
    )
    assert found.error_message == f"{key!r} is no <name>.<prompt_type> that is served"


@pytest.mark.parametrize(
    ("context", "code"),
    [
        (None, ErrorCode.TARGETING_KEY_MISSING),
        (EvaluationContext(), ErrorCode.TARGETING_KEY_MISSING),
        (EvaluationContext(""), ErrorCode.TARGETING_KEY_MISSING),
        (EvaluationContext(7), ErrorCode.INVALID_CONTEXT),  # type: ignore[arg-type]
        (EvaluationContext("x" * 201), ErrorCode.INVALID_CONTEXT),
        (EvaluationContext("a\0b"), ErrorCode.INVALID_CONTEXT),
        (EvaluationContext("\ud800"), ErrorCode.INVALID_CONTEXT),
    ],
)
async def test_without_a_sound_targeting_key_the_default_is_served_even_where_nothing_splits(
    sqlite: Database, context: EvaluationContext | None, code: ErrorCode
) -> None:
    await House(sqlite).furnish()

    found = client_of(sqlite).get_string_details(FLAG, DEFAULT, context)

    assert (found.value, found.reason, found.error_code) == (DEFAULT, "ERROR", code)


async def test_a_segment_is_served_by_its_lane(sqlite: Database) -> None:
    house, lane = House(sqlite), House(sqlite, name="greeting_premium")
    await house.furnish()
    await lane.furnish()
    await lane.put_in_production("1.1.0")
    await SegmentManager(sqlite).define("greeting", "system", "premium", 'plan == "premium"')
    client = client_of(sqlite)

    served = [
        client.get_string_details(FLAG, DEFAULT, EvaluationContext("ada", {"plan": plan})).variant
        for plan in ("premium", "basic")
    ]

    assert served == ["1.1.0", "1.0.0"]


async def test_a_prompt_is_neither_a_boolean_nor_a_number(sqlite: Database) -> None:
    await House(sqlite).furnish()
    client = client_of(sqlite)

    asked = [
        client.get_boolean_details(FLAG, True, ADA),
        client.get_integer_details(FLAG, 3, ADA),
        client.get_float_details(FLAG, 0.5, ADA),
    ]
    unknown = client.get_boolean_details("nobody.system", True, ADA)

    assert [found.value for found in asked] == [True, 3, 0.5]
    assert {found.error_code for found in asked} == {ErrorCode.TYPE_MISMATCH}
    assert unknown.error_code == ErrorCode.FLAG_NOT_FOUND
