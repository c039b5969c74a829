"""What names, texts and JSON must look like, so that both databases can keep them."""

import json
from collections.abc import Mapping, Sequence
from enum import StrEnum
from hashlib import sha256
from typing import TypeVar

from domain.errors import InvalidValue
from domain.prompts import Json, PromptVersion
from domain.tables import VersionRow

LABEL_LENGTH = 200  # characters

Member = TypeVar("Member", bound=StrEnum)


def check_prompt(name: str, prompt_type: str) -> None:
    """Refuse a prompt whose flag key, `<name>.<prompt_type>`, could not be told apart.

    Raises:
        InvalidValue: Either is not a label, or the type contains a dot.
    """
    check_label(name, field="name")
    check_label(prompt_type, field="prompt_type")
    if "." in prompt_type:
        raise InvalidValue(f"prompt_type must not contain '.', got {prompt_type!r}")


def check_label(value: object, *, field: str) -> None:
    """Refuse all but 1 to 200 printable characters.

    Raises:
        InvalidValue: It is something else.
    """
    if not (isinstance(value, str) and 0 < len(value) <= LABEL_LENGTH and value.isprintable()):
        allowed = f"1 to {LABEL_LENGTH} printable characters"
        raise InvalidValue(f"{field} must be {allowed}, got {_shown(value)}")


def check_text(value: object, *, field: str) -> None:
    """Refuse all but a text; NUL and lone surrogates cannot be stored.

    Raises:
        InvalidValue: It is something else.
    """
    if not isinstance(value, str):
        raise InvalidValue(f"{field} must be a text, got {_shown(value)}")
    try:
        storable = "\x00" not in value and value.encode()
    except UnicodeEncodeError:
        storable = False
    if storable is False:
        raise InvalidValue(f"{field} must not contain NUL or lone surrogates, got {_shown(value)}")


def json_object(value: object, *, field: str) -> Json:
    """Return the JSON object as the database will give it back.

    Raises:
        InvalidValue: It is not one, or holds what JSON cannot say.
    """
    if not isinstance(value, Mapping):
        raise InvalidValue(f"{field} must be a JSON object, got {_shown(value)}")
    try:
        plain: Json = json.loads(json.dumps(dict(value), allow_nan=False))
    except (TypeError, ValueError) as error:
        raise InvalidValue(f"{field} must be JSON: {error}") from error
    return plain


def tag_list(tags: Sequence[str]) -> list[str]:
    """Return the tags, each once.

    Raises:
        InvalidValue: They are one text, or one of them is not a label.
    """
    if isinstance(tags, str):
        raise InvalidValue(f"tags must be a list of texts, got {_shown(tags)}")
    for tag in tags:
        check_label(tag, field="each of tags")
    return list(dict.fromkeys(tags))


def member(kind: type[Member], value: str) -> Member:
    """Return the status of that value.

    Raises:
        InvalidValue: There is none; the message names those there are.
    """
    if value not in list(kind):
        raise InvalidValue(f"status must be one of {', '.join(kind)}, got {_shown(value)}")
    return kind(value)


def check_version(draft: PromptVersion) -> VersionRow:
    """Return the row of a version that has no number yet, its JSON as the database gives it back.

    Raises:
        InvalidValue: The message names the field, the value and what is allowed.
    """
    check_prompt(draft.name, draft.prompt_type)
    check_label(draft.version_id, field="version_id")
    check_text(draft.template, field="template")
    check_text(draft.created_by or "", field="created_by")
    validation = draft.validation
    row = VersionRow(
        id=draft.version_id,
        name=draft.name,
        prompt_type=draft.prompt_type,
        version=draft.version,
        major=0,
        minor=0,
        patch=0,
        template=draft.template,
        defaults=json_object(draft.defaults, field="defaults"),
        validation=None if validation is None else json_object(validation, field="validation"),
        details=json_object(draft.metadata, field="metadata"),
        created_at=draft.created_at,
        created_by=draft.created_by,
        parent_version=draft.parent_version,
        status=draft.status.value,
        content_hash="",
    )
    row.content_hash = content_hash(row)
    return row


def content_hash(row: VersionRow) -> str:
    """Return the SHA-256, in hex, of the content: the same content hashes the same everywhere."""
    content = [row.name, row.prompt_type, row.template, row.defaults, row.validation]
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return sha256(text.encode()).hexdigest()


def _shown(value: object) -> str:
    text = ascii(value)
    return text if len(text) <= 60 else f"{text[:57]}…"
