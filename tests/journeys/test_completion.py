"""TAB in a real bash: commands, prompts, versions; and never an error."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from domain.plan import PRESETS
from settings import child_environment
from terminal import completion
from tests.typed import Rampart, versions

ASK = """
source <(rampart completion bash)
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
_rampart_completion rampart
printf '%s\\n' "${COMPREPLY[@]}"
"""


def tab(folder: Path, *words: str, **more: str) -> tuple[list[str], str]:
    """Press TAB behind the words; return what is offered, and what is said on stderr."""
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    variables = {"RAMPART_DATABASE_URL": f"sqlite:///{folder}/rampart.db", "PATH": path}
    asked = subprocess.run(
        [str(shutil.which("bash")), "-c", ASK, "bash", *words],
        capture_output=True,
        text=True,
        check=True,
        cwd=folder,
        env=child_environment(**variables | more),
    )
    return [line for line in asked.stdout.split("\n") if line], asked.stderr


def test_commands_prompts_versions_and_plans_are_offered(alone: Rampart, tmp_path: Path) -> None:
    versions(alone, "greeting.system", "1.0.0", "1.1.0")
    versions(alone, "farewell.user", "2.0.0")

    assert tab(tmp_path, "rampart", "wat") == (["watch"], "")
    assert tab(tmp_path, "rampart", "watch", "gree") == (["greeting.system"], "")
    offered, _ = tab(tmp_path, "rampart", "start", "greeting.system", "1.")
    assert sorted(offered) == ["1.0.0", "1.1.0"]
    offered, _ = tab(tmp_path, "rampart", "start", "greeting.system", "1.1.0", "--plan", "st")
    assert offered == ["standard"]


@pytest.mark.parametrize(
    "url", ["", "sqlite:////proc/none/x.db", "postgresql://x@127.0.0.1:9/x", "mysql://x"]
)
def test_without_a_database_nothing_is_offered_said_or_made(tmp_path: Path, url: str) -> None:
    more = {"RAMPART_DATABASE_URL": url} if url else {}

    assert tab(tmp_path, "rampart", "watch", "g", **more) == ([], "")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_its_script(alone: Rampart, shell: str) -> None:
    said = alone("completion", shell)

    assert (said.code, said.err) == (0, "")
    assert f"_RAMPART_COMPLETE=complete_{shell}" in said.out


def test_the_plans_offered_are_those_there_are() -> None:
    assert set(completion.PRESETS) == set(PRESETS)


def test_without_arguments_it_says_what_to_type_first(alone: Rampart) -> None:
    said = alone()

    assert said.code == 0
    for words in ("rampart demo", "rampart dev", "rampart doctor", "rampart --help"):
        assert words in said.out
    assert alone("--version").out.startswith("rampart ")
