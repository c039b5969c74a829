"""A rollout's page in Temporal's UI, for somebody who has nothing else: tab User Metadata. Pure."""

from collections.abc import Sequence

from domain.judge import Verdict
from workflows.commands import Verb
from workflows.markdown import Row, block, listed, literal, signals, words
from workflows.phase import Phase
from workflows.progress import Progress, clock, stage_of

BAR = 30  # characters
FULL = '{"full": true}'
ENDS = {Phase.PROMOTED, Phase.ROLLED_BACK, Phase.WITHDRAWN}
MORE = (
    "*Request Cancellation* rolls back, too. *Terminate* does not: users stay where they are until"
    " the lease runs out. The *Timeline* tells the story so far"
)


def details(progress: Progress, offers: Sequence[Verb] = ()) -> str:
    """Return the page.

    Args:
        progress: Where the rollout stands.
        offers: The verbs that it would follow now.
    """
    phase = f"**{words(progress.phase)}**"
    if not progress.prompt:
        return f"{phase}: waiting for {progress.waiting_for}"
    head = f"**{literal(progress.prompt)}**: {progress.baseline} → {progress.candidate}, {phase}"
    parts = [head, block(_rows(progress)), signals(_offered(progress, offers))]
    if offers:
        parts.append(f"{MORE}; so does `rampart journal {progress.prompt}`.")
    return "\n\n".join(parts)


def _rows(progress: Progress) -> list[Row]:
    filled = round(progress.percent / 100 * BAR)
    ramp = "█" * filled + "░" * (BAR - filled)
    rows = [
        *listed("asked by", [progress.asked] if progress.asked else []),
        *listed("with", [str(each) for each in progress.companions]),
        ("ramp", f"{ramp} {progress.percent:g} %"),
        ("stage", f"{stage_of(progress)}{f', plan {progress.plan}' if progress.plan else ''}"),
        ("verdict", f"{words(progress.verdict.action)} (check {progress.checks})"),
        *_seen(progress.verdict),
    ]
    if progress.ordered:
        whose = progress.ordered.removesuffix(f": {progress.verdict.reason}")
        rows.append(("rollback", f"ordered by {whose}"))
    rows.append(("waits for", progress.waiting_for))
    if progress.next_check_at:
        rows.append(("next check", clock(progress.next_check_at)))
    if progress.deadline and progress.phase not in ENDS:
        rows.append(("deadline", clock(progress.deadline)))
    if progress.refused:
        rows.append(("note", progress.refused))
    return rows


def _seen(verdict: Verdict) -> list[Row]:
    """Return what decided, a line for each guardrail, and then what the others show."""
    told = [f"{one.guardrail}: {one.evidence}" for one in verdict.readings]
    decided = [each for each in told if each in verdict.reason]
    whole = "; ".join(decided) == verdict.reason
    others = [each for each in told if each not in decided]
    return [
        *listed("reason", decided if whole else [verdict.reason]),
        *listed("also seen", others),
    ]


def _offered(progress: Progress, offers: Sequence[Verb]) -> list[Row]:
    said = {
        Verb.APPROVE: ("open the gate of this stage",),
        Verb.RESUME: ("bake on for what was left of the stage",),
        Verb.PAUSE: ("hold the ramp; the guardrails stay on",),
        Verb.PROMOTE: ("the next stage now, after one more check; to production:", FULL),
        Verb.SKIP: ("past the next stage; to one you name:", f'{{"to": {len(progress.stages)}}}'),
        Verb.EXTEND: ("bake longer:", '{"longer": "2h"}'),
        Verb.AMEND: ("change the plan:", '{"set": {"final_bake": "2h"}}'),
        Verb.ROLLBACK: (f"everybody back to {progress.baseline}, now and for good",),
    }
    return [row for verb in said if verb in offers for row in listed(verb, said[verb])]
