"""`rampart token …` and `rampart gateway`, as they are typed."""

import sqlite3
from pathlib import Path

import pytest

from tests.typed import Rampart


def test_a_token_is_made_listed_and_revoked(alone: Rampart) -> None:
    made = alone("token", "create", "checkout", "--role", "ingest", "--lifetime", "90d")
    listed = alone("token", "list")
    (known,) = alone("token", "list", "--json").json
    revoked = alone("token", "revoke", known["id"])

    text = made.out.strip()
    assert made.code == 0
    assert text.startswith(f"rampart_{known['id']}_")
    assert "shown this once" in made.err
    assert "checkout" in listed.out
    assert "live until" in listed.out
    assert text.split("_")[2] not in listed.out
    assert (known["created_by"], known["roles"]) == ("ann", ["ingest"])
    said = f"token {known['id']} of checkout is revoked"
    assert (revoked.code, revoked.out.strip()) == (0, said)
    assert alone("token", "list", "--json").json[0]["revoked_by"] == "ann"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("token create checkout", "--role"),
        ("token create checkout --role root", "each of roles must be one of evaluate"),
        ("token create checkout --role ingest --lifetime soon", "--lifetime"),
        ("token create checkout --role ingest --lifetime 0s", "lifetime must be positive"),
        ("token revoke nope", "no token 'nope'"),
        ("gateway --host 0.0.0.0 --open", "--open lets everybody in"),
        ("gateway --port 70000", "--port"),
        ("gateway --host 203.0.113.1", "cannot listen at 203.0.113.1:8080"),
    ],
)
def test_what_cannot_be_is_told_in_a_line(alone: Rampart, words: str, said: str) -> None:
    code, _, err = alone(*words.split())

    assert code == 2
    assert said in err
    assert len(err.splitlines()) == 1


def test_a_gateway_does_not_serve_from_a_database_of_another_release(
    alone: Rampart, tmp_path: Path
) -> None:
    with sqlite3.connect(tmp_path / "rampart.db") as connection:
        connection.execute("CREATE TABLE alembic_version (version_num TEXT PRIMARY KEY)")
        connection.execute("INSERT INTO alembic_version VALUES ('9999')")
    connection.close()

    code, _, err = alone("gateway")

    assert code == 2
    assert "9999" in err
    assert len(err.splitlines()) == 1
