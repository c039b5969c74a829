"""The audit of dependencies fails on what is known, and says when it could ask nobody."""

import json
from collections.abc import Iterator
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from tests.audit import Ignore, Report, ask, complaints, ignored, read

TODAY = date(2026, 11, 25)
FOUND = Report(2, (("jinja2 3.1.0", frozenset({"PYSEC-1", "CVE-1"})),))
PYPROJECT = (Path(__file__).parents[2] / "pyproject.toml").read_text()


def test_what_is_known_is_told() -> None:
    assert complaints(FOUND, [], today=TODAY) == ["jinja2 3.1.0: CVE-1, PYSEC-1"]
    assert complaints(Report(2, ()), [], today=TODAY) == []


def test_what_is_borne_is_borne_until_its_day_under_any_of_its_names() -> None:
    borne = Ignore("CVE-1", "we do not render untrusted templates", TODAY)

    assert complaints(FOUND, [borne], today=TODAY) == []
    (late, still) = complaints(FOUND, [borne], today=date(2026, 11, 26))
    assert late.startswith("ignored until 2026-11-25, which is over: CVE-1 (we do not")
    assert still == "jinja2 3.1.0: CVE-1, PYSEC-1"


def test_what_a_service_does_not_know_is_not_called_audited() -> None:
    told = {"dependencies": [{"name": "a", "skip_reason": "Dependency not found on PyPI"}]}

    assert read(told) == Report(0, ())


def test_ignores_are_read_and_ours_have_a_reason() -> None:
    text = '[[tool.audit.ignore]]\nid = "CVE-1"\nreason = "why"\nuntil = 2026-11-25\n'

    assert ignored(text) == [Ignore("CVE-1", "why", TODAY)]
    assert all(each.reason for each in ignored(PYPROJECT))


ADVISORY = {
    "id": "PYSEC-1",
    "aliases": ["CVE-1"],
    "summary": "made up",
    "affected": [
        {
            "package": {"name": "jinja2", "ecosystem": "PyPI"},
            "versions": ["3.1.6"],
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "9.9"}]}],
        }
    ],
}


class Advisories(BaseHTTPRequestHandler):
    """Knows one advisory, as osv.dev would tell it."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        found = [ADVISORY] if asked["package"]["name"] == "jinja2" else []
        body = json.dumps({"vulns": found} if found else {}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def osv() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Advisories) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/v1/query"
        server.shutdown()


def test_pip_audit_itself_finds_what_a_service_tells(osv: str, tmp_path: Path) -> None:
    locked = tmp_path / "requirements.txt"
    locked.write_text("".join(f"{name} --hash=sha256:{'0' * 64}\n" for name in PINNED))

    report = ask("osv", locked, "--osv-url", osv)
    nobody = ask("osv", locked, "--osv-url", "http://127.0.0.1:1/v1/query")

    assert report is not None
    assert report.audited == 2
    assert complaints(report, [], today=TODAY) == ["jinja2 3.1.6: CVE-1, PYSEC-1"]
    assert nobody is None


PINNED = ("jinja2==3.1.6", "markupsafe==3.0.3")
