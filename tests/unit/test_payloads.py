"""Payloads are sealed and opened; what cannot be opened is told, and no key ever is."""

import base64
import json
import logging
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from temporalio.api.common.v1 import Payload
from temporalio.api.failure.v1 import Failure
from temporalio.exceptions import ApplicationError

from control.payloads import Codec, Unreadable, data_converter, transcoded
from domain.errors import InvalidValue
from settings import Settings

OLD, NEW = bytes(range(32)), bytes(range(32, 64))
TEXT = base64.b64encode(OLD).decode()


def plain(text: str) -> Payload:
    return Payload(metadata={"encoding": b"json/plain"}, data=json.dumps(text).encode())


@given(st.binary(max_size=200), st.dictionaries(st.text(max_size=9), st.binary(max_size=9)))
async def test_what_is_sealed_is_opened_as_it_was(data: bytes, metadata: dict[str, bytes]) -> None:
    codec, payload = Codec({"k1": OLD}), Payload(metadata=metadata, data=data)

    sealed = await codec.encode([payload])

    assert await codec.decode(sealed) == [payload]
    assert len(data) < 4 or data not in sealed[0].SerializeToString()


async def test_the_same_text_is_never_sealed_to_the_same_bytes() -> None:
    sealed = [(await Codec({"k1": OLD}).encode([plain("a")]))[0].data for _ in range(100)]

    assert len(set(sealed)) == 100


async def test_the_first_key_seals_and_all_open_so_that_keys_are_rotated() -> None:
    before, between, after = (
        Codec({"k1": OLD}),
        Codec({"k2": NEW, "k1": OLD}),
        Codec({"k2": NEW}),
    )
    begun = await before.encode([plain("begun")])

    gone_on = await between.encode([plain("gone on")])

    assert await between.decode([*begun, *gone_on]) == [plain("begun"), plain("gone on")]
    assert await after.decode(gone_on) == [plain("gone on")]
    with pytest.raises(Unreadable, match="sealed with key 'k1', which RAMPART_PAYLOAD_KEYS"):
        await after.decode(begun)


async def test_what_is_plain_is_passed_on_with_keys_and_without() -> None:
    for codec in (Codec({}), Codec({"k1": OLD})):
        assert await codec.decode([plain("a")]) == [plain("a")]
    assert await Codec({}).encode([plain("a")]) == [plain("a")]


async def test_what_is_sealed_is_told_by_who_has_no_key(caplog: pytest.LogCaptureFixture) -> None:
    sealed = await Codec({"k1": OLD}).encode([plain("a")])

    with caplog.at_level(logging.ERROR), pytest.raises(Unreadable, match="'k1'"):
        await Codec.parse("").decode(sealed)

    assert "sealed with key 'k1', which RAMPART_PAYLOAD_KEYS here does not hold" in caplog.text


@pytest.mark.parametrize("place", [0, 11, 12, 30, -1])
async def test_what_was_tampered_with_is_not_opened(place: int) -> None:
    (sealed,) = await Codec({"k1": OLD}).encode([plain("a longer text")])
    changed = bytearray(sealed.data)
    changed[place] ^= 1
    sealed.data = bytes(changed)

    with pytest.raises(Unreadable, match="not what key 'k1' has sealed"):
        await Codec({"k1": OLD}).decode([sealed])


async def test_the_same_id_with_another_key_opens_nothing() -> None:
    sealed = await Codec({"k1": OLD}).encode([plain("a")])

    with pytest.raises(Unreadable, match="not what key 'k1' has sealed"):
        await Codec({"k1": NEW}).decode(sealed)


async def test_the_message_of_a_failure_is_sealed_too_and_comes_back() -> None:
    converter, failure = data_converter(Codec({"k1": OLD})), Failure()

    await converter.encode_failure(ApplicationError("canary-refusal", type="Refused"), failure)

    assert b"canary-refusal" not in failure.SerializeToString()
    assert str(await converter.decode_failure(failure)) == "Refused: canary-refusal"


@pytest.mark.parametrize("text", [f"k1:{TEXT}", f"k2:{TEXT}=,", f" k1:{TEXT}\nk2:{TEXT} "])
def test_keys_are_read_as_people_write_them(text: str) -> None:
    text = text.replace("==", "=")

    assert Codec.parse(text).seals


def test_no_text_is_no_key() -> None:
    assert not Codec.parse(" , ").seals


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (TEXT, "entry 1 is not"),
        (f"k1:{TEXT},{TEXT}", "entry 2 is not"),
        (f":{TEXT}", "entry 1 is not"),
        (f"k 1:{TEXT}", "entry 1 is not"),
        (f"k1:{TEXT[:-4]}", "entry 1 is not"),
        ("k1:" + base64.b64encode(b"sixteen bytes 16").decode(), "entry 1 is not"),
        ("k1:canary-key", "entry 1 is not"),
        (f"k1:{TEXT},k1:{TEXT}", "different ids, got 'k1' twice"),
    ],
)
def test_what_are_no_keys_is_refused_without_repeating_them(text: str, said: str) -> None:
    with pytest.raises(InvalidValue, match=said) as told:
        Codec.parse(text)

    assert not any(secret in str(told.value) for secret in (TEXT, "canary-key", "c2l4"))


def test_keys_and_passwords_have_no_repr() -> None:
    settings = Settings(
        database_url="postgresql://a:canary-1@b/c",
        redis_url="redis://:canary-2@b",
        payload_keys=f"k1:{TEXT}",
    )

    assert "canary" not in repr(settings)
    assert TEXT not in repr(settings)


async def test_a_remote_codec_is_asked_in_json_as_temporals_own_tools_ask() -> None:
    codec = Codec({"k1": OLD})
    asked = {
        "payloads": [
            {"metadata": {"encoding": base64.b64encode(b"json/plain").decode()}, "data": "IjEi"}
        ]
    }

    sealed = await transcoded(codec, asked, opening=False)

    assert sealed != asked
    assert await transcoded(codec, sealed, opening=True) == asked
    with pytest.raises(InvalidValue, match="payloads must be"):
        await transcoded(codec, {"payloads": [{"data": 7}]}, opening=True)


def test_one_function_makes_every_data_converter() -> None:
    root = Path(__file__).parents[2]
    skipped = {".venv", ".boot"}
    naming = {
        path.relative_to(root).as_posix()
        for path in root.rglob("*.py")
        if path.relative_to(root).parts[0] not in skipped
        and "pydantic_data_converter" in path.read_text()
    }

    assert naming == {"control/payloads.py", "tests/unit/test_payloads.py"}
