"""Who may pass: tokens as they are kept, known in memory, and ended."""

from datetime import timedelta

import pytest
from sqlmodel import select

from domain.database import Database
from domain.errors import InvalidValue, NotFound, Unavailable
from domain.tables import TokenRow
from domain.tokens import Keyring, Role, TokenManager


async def test_a_token_is_known_by_its_text_and_nothing_of_it_is_kept(database: Database) -> None:
    manager = TokenManager(database)
    issued = await manager.create("checkout", ["ingest", "evaluate"], by="ada")

    known = await Keyring(manager).holder(issued.text)

    async with database.reading() as session:
        (row,) = (await session.exec(select(TokenRow))).all()
    assert known == issued.token
    assert (known.name, known.created_by) == ("checkout", "ada")
    assert known.roles == (Role.EVALUATE, Role.INGEST)
    assert issued.text.split("_")[2] not in str(row.model_dump())
    assert len(issued.text.split("_")[2]) == 64


@pytest.mark.parametrize(
    "text",
    ["", "rampart_", "rampart__", "hello", "rampart_x_y", "rampart_{id}_", "rampart_{id}_00",
     "{text}0", "x{text}", "{text}_", "RAMPART{rest}", "rampart_{id}_ünï", "a" * 100_000],
)  # fmt: skip
async def test_what_is_not_quite_a_token_is_none(database: Database, text: str) -> None:
    manager = TokenManager(database)
    issued = await manager.create("checkout", ["ingest"])
    rest = issued.text.removeprefix("rampart")

    wrong = text.format(id=issued.token.id, text=issued.text, rest=rest)

    assert await Keyring(manager).holder(wrong) is None


async def test_an_expired_and_a_revoked_token_open_nothing(database: Database) -> None:
    manager = TokenManager(database)
    short = await manager.create("short", ["ingest"], lifetime=timedelta(microseconds=1))
    ended = await manager.create("ended", ["ingest"])
    await manager.revoke(ended.token.id, by="ada")

    keyring = Keyring(manager)

    assert await keyring.holder(short.text) is None
    assert await keyring.holder(ended.text) is None


async def test_the_first_to_revoke_is_remembered(database: Database) -> None:
    manager = TokenManager(database)
    issued = await manager.create("checkout", ["ingest"])
    await manager.revoke(issued.token.id, by="ada")

    again = await manager.revoke(issued.token.id, by="bob")

    assert again.revoked_by == "ada"
    assert [token.revoked_by for token in await manager.list()] == ["ada"]


async def test_a_token_nobody_made_cannot_be_revoked(database: Database) -> None:
    with pytest.raises(NotFound, match="'nope'"):
        await TokenManager(database).revoke("nope")


@pytest.mark.parametrize(
    ("role", "may"),
    [
        (Role.EVALUATE, {Role.EVALUATE}),
        (Role.INGEST, {Role.INGEST}),
        (Role.OPERATE, {Role.OPERATE, Role.EVALUATE}),
        (Role.ADMIN, set(Role)),
    ],
)
async def test_a_role_is_good_for_what_it_includes(
    sqlite: Database, role: Role, may: set[Role]
) -> None:
    token = (await TokenManager(sqlite).create("one", [role])).token

    assert {each for each in Role if token.may(each)} == may


@pytest.mark.parametrize(
    ("name", "roles", "lifetime", "said"),
    [
        ("", ["ingest"], None, "name must be 1 to 200"),
        ("a\nb", ["ingest"], None, "name must be 1 to 200"),
        ("a", [], None, "roles must be some of"),
        ("a", ["root"], None, "'root'"),
        ("a", ["ingest"], timedelta(0), "lifetime must be positive"),
        ("a", ["ingest"], timedelta(days=100_000), "lifetime must be positive"),
    ],
)
async def test_a_token_that_cannot_be_is_refused(
    sqlite: Database, name: str, roles: list[str], lifetime: timedelta | None, said: str
) -> None:
    with pytest.raises(InvalidValue, match=said):
        await TokenManager(sqlite).create(name, roles, lifetime=lifetime)


class Counting(TokenManager):
    """Counts how often the database is asked; out of order, it cannot be."""

    asked = 0
    broken = False

    async def keys(self):  # type: ignore[no-untyped-def]
        self.asked += 1
        if self.broken:
            raise Unavailable("database is unavailable: test")
        return await super().keys()


async def test_known_tokens_pass_while_the_database_is_away_and_new_ones_are_told_so(
    sqlite: Database,
) -> None:
    manager = Counting(sqlite)
    issued = await manager.create("checkout", ["ingest"])
    keyring = Keyring(manager)
    await keyring.refresh()

    manager.broken = True
    await keyring.refresh()

    assert await keyring.holder(issued.text) == issued.token
    with pytest.raises(Unavailable, match="tokens cannot be read"):
        await keyring.holder("rampart_unknown_00")


async def test_tokens_that_are_guessed_do_not_ask_the_database_each_time(
    sqlite: Database,
) -> None:
    manager = Counting(sqlite)
    keyring = Keyring(manager)

    for number in range(1_000):
        assert await keyring.holder(f"rampart_{number}_00") is None

    assert manager.asked < 100
