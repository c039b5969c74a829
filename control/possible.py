"""What makes sense to ask of a rollout now; whether it is followed, the rollout itself says."""

from control.picture import Picture
from workflows.commands import Verb
from workflows.state import Phase

STANDING = {
    Phase.SCHEDULED: {Verb.ROLLBACK},
    Phase.OPENING: {Verb.PAUSE, Verb.ROLLBACK},
    Phase.RAMPING: {Verb.PAUSE, Verb.AMEND, Verb.ROLLBACK},
    Phase.BAKING: {Verb.PAUSE, Verb.PROMOTE, Verb.SKIP, Verb.EXTEND, Verb.AMEND, Verb.ROLLBACK},
    Phase.PAUSED: {Verb.RESUME, Verb.EXTEND, Verb.AMEND, Verb.ROLLBACK},
    Phase.WAITING_FOR_APPROVAL: {Verb.APPROVE, Verb.PAUSE, Verb.AMEND, Verb.ROLLBACK},
    Phase.WAITING_FOR_WINDOW: {Verb.PAUSE, Verb.PROMOTE, Verb.SKIP, Verb.AMEND, Verb.ROLLBACK},
    Phase.FINAL_BAKE: {Verb.PAUSE, Verb.PROMOTE, Verb.EXTEND, Verb.AMEND, Verb.ROLLBACK},
    Phase.ROLLBACK_INCOMPLETE: {Verb.ROLLBACK},
}


def possible(picture: Picture) -> frozenset[Verb]:
    """Return the verbs."""
    if picture.ended:
        return frozenset()
    shown = picture.progress
    found = set(STANDING.get(shown.phase, ()))
    if not shown.stage:
        found -= {Verb.PROMOTE, Verb.EXTEND}
    if not skippable(picture):
        found -= {Verb.SKIP}
    return frozenset(found)


def skippable(picture: Picture) -> tuple[int, ...]:
    """Return the stages, from 1, that can be gone to past the next one."""
    shown = picture.progress
    return tuple(range(shown.stage + 2, len(shown.stages) + 1)) if shown.stage else ()
