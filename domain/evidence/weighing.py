"""The judgement of one look: evidence in, verdict and evidence out. No session, no clock.

The same function judges live rollouts, replays them, and answers what another policy would have
said: what it returns depends on its arguments alone.
"""

import math
from collections.abc import Sequence
from datetime import timedelta

from domain import judge
from domain.duration import spell
from domain.evidence.looks import METHOD, Evidence, Look, Sample, Trail
from domain.evidence.trails import follow, trouble
from domain.guardrail import Guardrail, GuardrailKind, Role
from domain.judge import Action, Reading, Standing, Verdict
from domain.policy import Policy, PromoteWhen
from domain.stats import srm
from domain.stats.combination import combined, guilty

MISMATCH_ALPHA = 0.001  # a false alarm about the split stops a rollout for nothing
CAREFUL = ("roll_back", "hold", "extend", "promote")  # the first that anybody asks for counts


def weigh(
    policy: Policy, evidence: Evidence, look: Look, *, method: str = METHOD
) -> tuple[Verdict, Evidence]:
    """Judge one look.

    Args:
        policy: What the present stage is judged by.
        evidence: What the look before returned; `Evidence()` at the first.
        look: What this one saw: a sample for each of the policy's guardrails, in their order.
        method: One of `looks.METHODS`, for looks of old.

    Raises:
        ValueError: There are not as many samples as guardrails.
    """
    blank = (Trail(),) * len(policy.guardrails)
    trails = follow(policy.guardrails, evidence.trails or blank, look)
    evidence = _accuse(policy, evidence.model_copy(update={"trails": trails}))
    evidence = _count(evidence, look)
    readings = [
        _reading(policy, number, evidence, look) for number in range(len(policy.guardrails))
    ]
    found = judge.verdict(readings)
    verdict, evidence = _with_policies(policy, evidence, look, found=found)
    if method != "e-1" and found.action is verdict.action is Action.ADVANCE:
        verdict = _unless_nobody_comes(policy, evidence, look, verdict)
    return verdict, evidence


def _accuse(policy: Policy, evidence: Evidence) -> Evidence:
    """Combine the evidence of harm; once it is enough, name who it is, for good."""
    log_es = [trail.log_e for trail in evidence.trails]
    shares = evidence.shares(policy.weights)
    log_e = combined(log_es, shares) if any(shares) else 0.0
    named = evidence.guilty
    if not named and any(shares) and log_e >= -math.log(policy.alpha):
        found = guilty(log_es, shares, alpha=policy.alpha)
        strongest = max(range(len(log_es)), key=lambda i: (shares[i] > 0, log_es[i]))
        named = tuple(policy.guardrails[i].name for i in found or [strongest])
    return evidence.model_copy(
        update={"log_e": log_e, "peak": max(evidence.peak, log_e), "guilty": named}
    )


def _count(evidence: Evidence, look: Look) -> Evidence:
    """Follow the split of users, and whether anybody comes at all."""
    new = look.epoch != evidence.epoch
    past = evidence.log_mismatch if new else evidence.past_mismatch
    shares = (look.share, 1 - look.share)
    now = srm.log_bayes_factor(look.exposures, shares) if sum(look.exposures) else 0.0
    seen = max((sample.treatment.n for sample in look.samples), default=0)
    came = seen > (0 if new else evidence.seen)
    return evidence.model_copy(
        update={
            "epoch": look.epoch,
            "past_mismatch": past,
            "log_mismatch": past + float(now),
            "seen": seen,
            "silent_since": look.at if came else evidence.silent_since or look.at,
        }
    )


def _reading(policy: Policy, number: int, evidence: Evidence, look: Look) -> Reading:
    guardrail, trail = policy.guardrails[number], evidence.trails[number]
    sample = look.samples[number]
    if guardrail.kind is GuardrailKind.THRESHOLD and not sample.error:
        return judge.read(guardrail, events=sample.treatment.n, rate=sample.treatment.mean)
    standing, evidence_of = _stand(policy, guardrail, trail, sample, look, evidence.guilty)
    return Reading(
        guardrail=guardrail.name,
        standing=standing,
        evidence=evidence_of,
        role=guardrail.role,
        dry_run=guardrail.dry_run,
        log_e=trail.log_e,
    )


def _stand(  # the whole case, read once
    policy: Policy,
    guardrail: Guardrail,
    trail: Trail,
    sample: Sample,
    look: Look,
    named: Sequence[str],
) -> tuple[Standing, str]:
    """Return what can be said of a guardrail that rests on evidence, and why."""
    if why := trouble(trail, sample):
        return Standing.ERROR, f"cannot be measured: {why}"
    seen, needs = describe(guardrail, sample, look), -math.log(policy.alpha)
    needed = f"{math.exp(needs):g}"
    alone = guardrail.weighs is False and trail.peak >= needs
    if alone or (guardrail.weighs and guardrail.name in named):
        return Standing.HARMED, f"{seen}; evidence of harm {strength(trail.peak)}, needs {needed}"
    if lacking := _lacking(guardrail, trail, sample, look):
        return Standing.UNDECIDED, f"{seen}{lacking}"
    if trail.log_mean >= needs:
        return (
            Standing.UNDECIDED,
            f"{seen}; its mean has worsened, which proves nothing",
        )
    if trail.log_safe >= needs:
        return Standing.SAFE, f"{seen}; shown to be within the margin"
    if policy.promote_when is PromoteWhen.SAFE and guardrail.role is not Role.INFO:
        safe = strength(trail.log_safe)
        return Standing.UNDECIDED, f"{seen}; evidence of safety {safe}, needs {needed}"
    return Standing.NOT_HARMED, f"{seen}; evidence of harm {strength(trail.log_e)}, needs {needed}"


def _lacking(guardrail: Guardrail, trail: Trail, sample: Sample, look: Look) -> str:
    """Return what is missing before anything can be said; empty when nothing is."""
    if not sample.treatment.n:
        return ", and no data proves nothing"
    counted = trail.latest[0].n_t if trail.base and trail.latest else sample.treatment.n
    if counted < guardrail.fewest:
        unit = "users" if guardrail.per == "user" else "events"
        late = " since it was added" if trail.base else ""
        return f", needs {guardrail.fewest} {unit} in this stage{late} to judge"
    if guardrail.kind is GuardrailKind.LIMIT:
        return ""
    if not trail.harm:
        return "; its thresholds wait for observations of the control"
    if look.compared and not trail.total:
        return "; needs somebody on the control to compare with"
    return ""


def describe(guardrail: Guardrail, sample: Sample, look: Look) -> str:
    """Return `61.6 % of 151 users, 97.1 % of 1402 on 1.0.0`."""
    unit = "users" if guardrail.per == "user" else "events"
    if not sample.treatment.n:
        return f"no {unit} yet in this stage"
    mine = f"{_figure(guardrail, sample.treatment.mean, sample.treatment.p95)}"
    told = f"{mine} of {sample.treatment.n} {unit}"
    if guardrail.kind is GuardrailKind.LIMIT:
        return f"{told}, limit {_figure(guardrail, guardrail.limit or 0.0, None)}"
    if not sample.control.n:
        return f"{told}, nobody on {look.control}"
    theirs = _figure(guardrail, sample.control.mean, sample.control.p95)
    return f"{told}, {theirs} of {sample.control.n} on {look.control}"


def strength(log_e: float) -> str:
    """Return an e-value as people read it: how many times likelier than without harm."""
    if log_e > math.log(1e6):
        return "over a million"
    value = math.exp(log_e)
    return f"{value:.0f}" if value >= 10 else f"{value:.2g}"


def _figure(guardrail: Guardrail, mean: float, p95: float | None) -> str:
    if guardrail.is_rate:
        return f"{mean:.1%}"
    return f"{mean:.4g}" + (f" (p95 {p95:.4g})" if p95 is not None else "")


def _with_policies(
    policy: Policy, evidence: Evidence, look: Look, *, found: Verdict
) -> tuple[Verdict, Evidence]:
    """Return what follows once doubt has lasted too long, or the split is wrong."""
    if found.action is Action.ROLL_BACK:
        return found, evidence
    mismatched = evidence.log_mismatch >= -math.log(MISMATCH_ALPHA)
    said = _mismatch(look)
    if fatal := _fatal(policy, evidence, look, mismatched=said if mismatched else ""):
        return found.model_copy(update={"action": Action.ROLL_BACK, "reason": fatal}), evidence
    if mismatched and policy.when_mismatch == "hold":
        return found.model_copy(update={"action": Action.HOLD, "reason": said}), evidence
    if mismatched:
        found = found.model_copy(update={"reason": f"{found.reason}; warning: {said}"})
    return _at_the_end(policy, evidence, look, found=found)


def _mismatch(look: Look) -> str:
    treatment, control = look.exposures
    got = treatment / max(1, treatment + control)
    return (
        f"users are not split as they should be: {got:.1%} of {treatment + control} got the"
        f" candidate, {look.share:.1%} should; find out why before anything is believed"
    )


def _fatal(policy: Policy, evidence: Evidence, look: Look, *, mismatched: str) -> str:
    """Return why a policy rolls back although no harm is shown; empty when none does."""
    if mismatched and policy.when_mismatch == "roll_back":
        return mismatched
    silent = look.at - (evidence.silent_since or look.at)
    for guardrail, trail in zip(policy.guardrails, evidence.trails, strict=True):
        blind = look.at - (trail.blind_since or look.at)
        if _asks(guardrail.when_blind, guardrail, lasted=blind, limit=policy.blind_after):
            return f"{guardrail.name} could not be measured for {spell(_whole(blind))}"
        if _asks(guardrail.when_no_traffic, guardrail, silent, policy.no_traffic_after):
            return f"nobody came for {spell(_whole(silent))}"
    return ""


def _unless_nobody_comes(policy: Policy, evidence: Evidence, look: Look, found: Verdict) -> Verdict:
    """Hold what was shown to do no harm before everybody went away: nothing shows that it is so."""
    silent = look.at - (evidence.silent_since or look.at)
    if timedelta(0) < silent >= policy.no_traffic_after and any(g.acts for g in policy.guardrails):
        said = f"nobody came for {spell(_whole(silent))}; before that {found.reason}"
        return found.model_copy(update={"action": Action.HOLD, "reason": said})
    return found


def _asks(wish: str, guardrail: Guardrail, lasted: timedelta, limit: timedelta) -> bool:
    return guardrail.acts and wish == "roll_back" and timedelta(0) < lasted >= limit


def _at_the_end(
    policy: Policy, evidence: Evidence, look: Look, *, found: Verdict
) -> tuple[Verdict, Evidence]:
    """Return what `when_inconclusive` says once a stage has baked for `max_bake`."""
    over = policy.max_bake is not None and look.baked >= policy.max_bake
    if evidence.given_up == look.stage and over:
        return _asking(found, look), evidence
    standings = [reading.standing for reading in found.readings]
    if found.action is not Action.HOLD or not over or Standing.ERROR in standings:
        return found, evidence
    wishes = {
        guardrail.when_inconclusive
        for guardrail, standing in zip(policy.guardrails, standings, strict=True)
        if guardrail.role is not Role.INFO and standing in (Standing.UNDECIDED, Standing.HARMED)
    }
    wish = next((one for one in CAREFUL if one in wishes), "hold")
    if wish == "hold":
        return _asking(found, look), evidence.model_copy(update={"given_up": look.stage})
    if wish == "extend":
        return found, evidence
    action = Action.ADVANCE if wish == "promote" else Action.ROLL_BACK
    said = f"inconclusive after {spell(_whole(look.baked))}, by policy {wish}: {found.reason}"
    return found.model_copy(update={"action": action, "reason": said}), evidence


def _asking(found: Verdict, look: Look) -> Verdict:
    said = f"inconclusive after {spell(_whole(look.baked))}: promote it or roll it back"
    return found.model_copy(update={"action": Action.HOLD, "reason": f"{said}; {found.reason}"})


def _whole(duration: timedelta) -> timedelta:
    return timedelta(seconds=round(duration.total_seconds()))
