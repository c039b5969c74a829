"""Who is told: targets by name, what each asks for, and the templates. Their URLs are secrets.

Read from `RAMPART_NOTIFY` (URLs of apprise, blanks between them) and from the YAML file that
`RAMPART_NOTIFY_FILE` names. No message of ours shows a value from either.
"""

import base64
import binascii
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Self
from urllib.parse import urlsplit

import yaml
from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator

from domain.errors import InvalidValue
from domain.notifications.notice import Notice
from domain.notifications.wording import ANY, Words, kinds
from domain.value import Value, flat

PREFIX = "whsec_"
KEY_BYTES = range(24, 65)  # of a webhook's secret, as the specification wants it

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]


class Target(Value):
    """One place that is told. Exactly one of `url`, `url_file` and `webhook` is given.

    Attributes:
        name: How it shows in histories, logs and commands.
        url: One of apprise's: `slack://…`, `mailto://…`, `json://…`.
        url_file: A file that holds it.
        webhook: Where a signed webhook is posted, `https://…`.
        secret: Of the webhook: `whsec_` and 24 to 64 bytes in base64.
        secret_file: A file that holds it.
        kinds: Lines of the journal it asks for; all if None, the checks excepted.
        prompts: Flag keys it asks for; `*` stands for anything.
        report: Whether the news of an end carry a report to it.
    """

    name: Name
    url: SecretStr | None = None
    url_file: Path | None = None
    webhook: SecretStr | None = None
    secret: SecretStr | None = None
    secret_file: Path | None = None
    kinds: tuple[str, ...] | None = None
    prompts: tuple[str, ...] = ("*",)
    report: bool = True

    @field_validator("kinds")
    @classmethod
    def _of_a_journal(cls, given: tuple[str, ...] | None) -> tuple[str, ...] | None:
        for kind in given or ():
            _check_kind(kind)
        return given

    @model_validator(mode="after")
    def _complete(self) -> Self:
        ways = [self.url, self.url_file, self.webhook]
        if sum(way is not None for way in ways) != 1:
            raise ValueError("give exactly one of url, url_file and webhook")
        secrets = [self.secret, self.secret_file]
        if sum(secret is not None for secret in secrets) != (self.webhook is not None):
            raise ValueError("a webhook, and nothing else, has a secret or a secret_file")
        return self

    def wants(self, notice: Notice) -> bool:
        """Say whether it asks for such a notice."""
        asked = self.kinds is None or notice.kind in self.kinds
        return asked and any(fnmatchcase(notice.prompt, pattern) for pattern in self.prompts)

    def address(self) -> str:
        """Return where it is. A secret.

        Raises:
            InvalidValue: The file that holds it cannot be read, or it is no address.
        """
        if self.webhook is None:
            return _secret(self.url, self.url_file, field=f"target {self.name!r}: url")
        address = self.webhook.get_secret_value()
        parts = urlsplit(address)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise InvalidValue(f"target {self.name!r}: webhook must be an https:// address")
        return address

    def key(self) -> str:
        """Return what its webhook is signed with. A secret.

        Raises:
            InvalidValue: The file that holds it cannot be read, or it is none.
        """
        field = f"target {self.name!r}: secret"
        key = _secret(self.secret, self.secret_file, field=field)
        try:
            length = len(base64.b64decode(key.removeprefix(PREFIX) + "==", validate=False))
        except binascii.Error:
            length = 0
        if length not in KEY_BYTES:
            raise InvalidValue(
                f"{field} must be {PREFIX} and 24 to 64 bytes in base64;"
                f' make one with: echo "{PREFIX}$(openssl rand -base64 32)"'
            )
        return key


class Directory(Value):
    """All targets, their names all different, and the templates by kind."""

    targets: tuple[Target, ...] = ()
    templates: dict[str, Words] = Field(default_factory=dict)

    @field_validator("templates")
    @classmethod
    def _of_a_kind(cls, given: dict[str, Words]) -> dict[str, Words]:
        for kind in given:
            if kind != ANY:
                _check_kind(kind, besides=(ANY,))
        return given

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        names = [target.name for target in self.targets]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"targets: two are named {name!r}")
        return self

    @classmethod
    def read(cls, urls: str, file: str = "") -> Self:
        """Read what the settings say: URLs with blanks between them, and the name of a file.

        Raises:
            InvalidValue: One of both cannot be read; no value is shown.
        """
        given = _document(file) if file else {}
        if not isinstance(given, dict):
            raise InvalidValue(f"{file}: it must have targets and templates")
        try:
            read = cls.model_validate(given)
            targets = (*_named(urls.split()), *read.targets)
            return cls.model_validate({"targets": targets, "templates": read.templates})
        except ValidationError as error:
            raise InvalidValue(f"{file or 'RAMPART_NOTIFY'}: {_told(error)}") from None


def _named(urls: list[str]) -> Iterator[Target]:
    """Name URLs by their kind: `slack`, `mailto`, `slack-2`."""
    seen: list[str] = []
    for url in urls:
        scheme = url.partition("://")[0].lower()
        if "://" not in url or not scheme.isalnum():
            raise InvalidValue("RAMPART_NOTIFY must hold URLs such as slack://…, blanks between")
        seen.append(scheme)
        number = seen.count(scheme)
        yield Target(name=scheme if number == 1 else f"{scheme}-{number}", url=SecretStr(url))


def _document(file: str) -> object:
    try:
        return yaml.safe_load(Path(file).read_text()) or {}
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidValue(f"cannot read {file}: {_why(error)}") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise InvalidValue(f"{file}{where}: it is not YAML") from None


def _secret(given: SecretStr | None, file: Path | None, *, field: str) -> str:
    if given is not None:
        return given.get_secret_value()
    try:
        return (file or Path()).read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidValue(f"{field}_file cannot be read: {_why(error)}") from None


def _why(error: OSError | UnicodeDecodeError) -> str:
    return (error.strerror or "no reason given") if isinstance(error, OSError) else "no UTF-8 text"


def _told(error: ValidationError) -> str:
    """Return what is wrong, and where; not the values, for they may be secrets."""
    found = error.errors(include_url=False, include_input=False, include_context=False)
    return "; ".join(
        ": ".join(filter(None, [".".join(map(str, each["loc"])), _plainly(each["msg"])]))
        for each in found
    )


def _plainly(message: str) -> str:
    return flat(message).removeprefix("Value error, ").replace("Input should", "must")


def _check_kind(kind: str, *, besides: tuple[str, ...] = ()) -> None:
    if kind not in kinds():
        allowed = ", ".join((*besides, *kinds()))
        raise ValueError(f"unknown kind {kind!r}: allowed are {allowed}")
