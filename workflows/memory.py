"""Which keys were followed already, and what was answered: so that twice is once."""

from typing import Self

from pydantic import BaseModel

from workflows.commands import Command

KEPT = 200  # keys; who repeats a command does so soon


class Followed(BaseModel):
    """A command with a key, as it was followed and answered."""

    key: str
    verb: str
    asks: str
    said: str
    changes: tuple[str, ...] = ()

    @classmethod
    def of(cls, verb: str, command: Command, *, said: str) -> Self:
        """Return what is to be remembered of a command."""
        return cls(key=command.key, verb=str(verb), asks=command.asks, said=said)


class Memory(BaseModel):
    """The latest keys, the oldest first."""

    followed: list[Followed] = []

    def recall(self, key: str) -> Followed | None:
        """Return what was answered to the key; nobody has used none."""
        return next((one for one in self.followed if key and one.key == key), None)

    def keep(self, followed: Followed) -> None:
        """Remember what was answered, if it has a key."""
        if followed.key:
            self.followed = [*self.followed, followed][-KEPT:]


def misused(known_verb: str, known_asks: str, *, verb: str, command: Command) -> str:
    """Return why a key cannot be used again, empty when it can: it stands for one command."""
    if known_verb != verb:
        return f"key {command.key!r} was used for {known_verb} already"
    same = known_asks == command.asks
    return "" if same else f"key {command.key!r} was used for another {verb} already"
