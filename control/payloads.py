"""What is given to Temporal: values as JSON, sealed by AES-256-GCM where there are keys.

Each payload says itself whether it is sealed, so that a history may hold both: a rollout that began
in plain text goes on sealed, and keys are rotated under what is live. The form is that of
Temporal's own samples, so their codec servers read it too.
"""

import base64
import binascii
import logging
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from google.protobuf.json_format import MessageToDict, ParseDict, ParseError
from temporalio.api.common.v1 import Payload, Payloads
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.converter import (
    DataConverter,
    DefaultFailureConverterWithEncodedAttributes,
    PayloadCodec,
)

from domain.errors import InvalidValue, RampartError
from settings import Settings

logger = logging.getLogger(__name__)

VARIABLE = "RAMPART_PAYLOAD_KEYS"
ENCODING, KEY_ID = "encoding", "encryption-key-id"  # of a payload's metadata
SEALED = b"binary/encrypted"
KEY_BYTES, NONCE_BYTES = 32, 12
NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
FORM = "<id>:<base64 of 32 bytes>, several separated by commas, the one that seals first"


class Unreadable(RampartError):
    """A payload is sealed with a key that this process has not, or it was tampered with."""


class Codec(PayloadCodec):
    """Seals with the first of its keys and opens with all; without keys it passes on what is plain.

    Without keys it is still there, to tell what is wrong when it meets what is sealed.
    """

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        """Take keys of 32 bytes by their ids, in order."""
        self._ciphers = {name: AESGCM(key) for name, key in keys.items()}
        self._first = next(iter(keys), "")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the codec of `RAMPART_PAYLOAD_KEYS`; an empty text holds no keys.

        Raises:
            InvalidValue: It is not of the form. What was given is not repeated: it is secret.
        """
        keys: dict[str, bytes] = {}
        for number, entry in enumerate(text.replace(",", " ").split(), start=1):
            name, _, encoded = entry.partition(":")
            key = _decoded(encoded)
            if not NAME.fullmatch(name) or len(key) != KEY_BYTES:
                raise InvalidValue(f"{VARIABLE} must be {FORM}: entry {number} is not")
            if name in keys:
                raise InvalidValue(f"{VARIABLE} must have different ids, got {name!r} twice")
            keys[name] = key
        return cls(keys)

    @property
    def seals(self) -> bool:
        """Whether there is a key to seal with."""
        return bool(self._ciphers)

    @property
    def count(self) -> int:
        """How many keys there are to open with."""
        return len(self._ciphers)

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Seal each payload, what it says of itself included."""
        return [self._sealed(payload) for payload in payloads] if self.seals else list(payloads)

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Open what is sealed and pass on what is plain.

        Raises:
            Unreadable: There is no such key here, or the content is not what was sealed.
        """
        return [self._opened(payload) for payload in payloads]

    def _sealed(self, payload: Payload) -> Payload:
        nonce = secrets.token_bytes(NONCE_BYTES)
        text = payload.SerializeToString()
        return Payload(
            metadata={ENCODING: SEALED, KEY_ID: self._first.encode()},
            data=nonce + self._ciphers[self._first].encrypt(nonce, text, None),
        )

    def _opened(self, payload: Payload) -> Payload:
        if payload.metadata.get(ENCODING) != SEALED:
            return payload
        name = payload.metadata.get(KEY_ID, b"").decode("ascii", "replace")
        cipher = self._ciphers.get(name)
        if cipher is None:
            raise _unreadable(f"is sealed with key {name!r}, which {VARIABLE} here does not hold")
        nonce, text = payload.data[:NONCE_BYTES], payload.data[NONCE_BYTES:]
        try:
            return Payload.FromString(cipher.decrypt(nonce, text, None))
        except (InvalidTag, ValueError) as error:
            raise _unreadable(f"is not what key {name!r} has sealed") from error


def data_converter(codec: Codec | None = None) -> DataConverter:
    """Return how values go to Temporal and come back, the same for whoever talks to it.

    With keys, messages and stack traces of failures are sealed as well.

    Args:
        codec: By default that of the settings.

    Raises:
        InvalidValue: The settings' keys are no keys.
    """
    codec = codec or Codec.parse(Settings.from_env().payload_keys)
    made = replace(pydantic_data_converter, payload_codec=codec)
    if codec.seals:
        sealing = DefaultFailureConverterWithEncodedAttributes
        made = replace(made, failure_converter_class=sealing)
    return made


def remote_codec(keys: str, *, wanted: bool) -> Codec | None:
    """Return what others may have payloads opened with, if that is wanted; look at the keys anyway.

    Raises:
        InvalidValue: They are none, or there are none to open with.
    """
    codec = Codec.parse(keys)
    if wanted and not codec.seals:
        raise InvalidValue(f"--codec opens what is sealed: set {VARIABLE}")
    return codec if wanted else None


async def transcoded(codec: Codec, asked: dict[str, Any], *, opening: bool) -> dict[str, Any]:
    """Answer a request to a codec server, which Temporal's UI and CLI send: JSON in, JSON out.

    Raises:
        InvalidValue: It holds no payloads.
        Unreadable: As for `Codec.decode`.
    """
    try:
        given = ParseDict(asked, Payloads(), ignore_unknown_fields=True)
    except ParseError as error:
        raise InvalidValue("payloads must be a list of Temporal's payloads") from error
    await (codec.decode_wrapper if opening else codec.encode_wrapper)(given)
    return MessageToDict(given)


def _unreadable(what: str) -> Unreadable:
    logger.error("a payload %s", what)
    return Unreadable(f"a payload {what}")


def _decoded(encoded: str) -> bytes:
    try:
        return base64.b64decode(encoded.translate(str.maketrans("-_", "+/")), validate=True)
    except (binascii.Error, ValueError):
        return b""
