"""`rampart token …` and `rampart gateway`, as they are typed."""

import json
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import cli

Said = tuple[int, str, str]
Rampart = Callable[..., Said]


@pytest.fixture
def rampart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Rampart:
    """Run `rampart …` in this process, on a database of the test's own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RAMPART_DATABASE_URL", f"sqlite:///{tmp_path}/rampart.db")
    monkeypatch.setenv("RAMPART_OPERATOR", "ada")

    def run(*words: str) -> Said:
        monkeypatch.setattr(sys, "argv", ["rampart", *words])
        capsys.readouterr()
        code = cli.main()
        said = capsys.readouterr()
        return code, said.out.strip(), said.err.strip()

    return run


def test_a_token_is_made_listed_and_revoked(rampart: Rampart) -> None:
    made = rampart("token", "create", "checkout", "--role", "ingest", "--lifetime", "90d")
    listed = rampart("token", "list")
    (known,) = json.loads(rampart("token", "list", "--json")[1])
    revoked = rampart("token", "revoke", known["id"])

    assert made[0] == 0
    assert made[1].startswith(f"rampart_{known['id']}_")
    assert "shown this once" in made[2]
    assert "checkout" in listed[1]
    assert "live until" in listed[1]
    assert made[1].split("_")[2] not in listed[1]
    assert (known["created_by"], known["roles"]) == ("ada", ["ingest"])
    assert revoked[:2] == (0, f"token {known['id']} of checkout is revoked")
    assert json.loads(rampart("token", "list", "--json")[1])[0]["revoked_by"] == "ada"


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
def test_what_cannot_be_is_told_in_a_line(rampart: Rampart, words: str, said: str) -> None:
    code, _, err = rampart(*words.split())

    assert code == 2
    assert said in err
    assert len(err.splitlines()) == 1


def test_a_gateway_does_not_serve_from_a_database_of_another_release(
    rampart: Rampart, tmp_path: Path
) -> None:
    with sqlite3.connect(tmp_path / "rampart.db") as connection:
        connection.execute("CREATE TABLE alembic_version (version_num TEXT PRIMARY KEY)")
        connection.execute("INSERT INTO alembic_version VALUES ('9999')")
    connection.close()

    code, _, err = rampart("gateway")

    assert code == 2
    assert "9999" in err
    assert len(err.splitlines()) == 1
