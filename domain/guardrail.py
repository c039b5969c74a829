"""Guardrails: what must not get worse, how that is judged, and what follows from doubt."""

from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from domain.value import Value, is_map

SUCCESS = "success"
RATING = "user_rating"
DROP = 0.05  # of a rate: worth catching fast
WORSENING = 0.05  # of a number, relative: not worth a rollback
SLACK = 0.10  # of a number, relative: still safe
FEWEST = {"rate": 100, "number": 500}  # observations; the tail of fewer numbers says nothing

MetricName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_.-]{0,63}$")]
Level = Annotated[float, Field(gt=0, lt=1)]


class GuardrailKind(StrEnum):
    """How a guardrail decides."""

    EVIDENCE = "evidence"  # against the control, always valid
    LIMIT = "limit"  # against a fixed limit, always valid
    THRESHOLD = "threshold"  # the seed's: the rate as it is, after enough events


class Role(StrEnum):
    """What a guardrail may do."""

    GUARDRAIL = "guardrail"  # harm rolls back
    GOAL = "goal"  # harm only keeps it from being promoted
    INFO = "info"  # is shown, decides nothing


class Direction(StrEnum):
    """Which way is better."""

    HIGHER = "higher_is_better"
    LOWER = "lower_is_better"


BETTER = {
    SUCCESS: Direction.HIGHER,
    RATING: Direction.HIGHER,
    "response_time": Direction.LOWER,
    "tokens": Direction.LOWER,
}


Doubt = Literal["hold", "roll_back"]
Inconclusive = Literal["hold", "extend", "promote", "roll_back"]


class Guardrail(Value):
    """One metric that must not get worse. Only `metric` has to be given, or nothing at all.

    Attributes:
        metric: success, response_time, tokens, user_rating, or a custom number that is reported.
        kind: How it decides: `evidence` against the control, a `limit`, or a `threshold` of the
            rate as it is. A `target` makes it a threshold and a `limit` a limit, unsaid.
        role: What it may do: roll back (`guardrail`), only keep from promotion (`goal`), or nothing
            but show (`info`).
        direction: Which way is better; known of the built-in metrics.
        harm: Of a rate or rating, the drop worth catching fast, in (0, 1): any drop is caught. Of
            another number, the relative worsening that is not worth a rollback, in [0, 10].
        margin: How much worse still counts as safe: of a rate or rating a difference in (0, 1), of
            another number relative, in (0, 10].
        alpha: The part of the plan's `alpha` this one may spend on a false alarm, in (0, 1). By
            default the first has half of what is left, the others share the rest.
        per: What is one observation: the first outcome of each user in each stage (exact however
            often one user comes back), or each event, where events are known to be independent.
        floor: Rate in [0, 1]. A threshold rolls back below it; evidence, once it is sure that the
            rate is below it.
        target: Rate in [floor, 1] at which a threshold lets a stage go on; in between it holds.
        limit: For kind limit: the lowest rate in (0, 1), or the worst value a number may have.
        quantile: The share of observations, in (0, 1), that must keep to the `limit` of a number.
        min_events: Observations of the candidate in the present stage, >= 0, too few to judge; by
            default 100, and 500 of numbers.
        dry_run: Judge and journal, but do not act.
        when_blind: What to do once it could not be measured for the plan's `blind_after`.
        when_no_traffic: What to do once nobody came for the plan's `no_traffic_after`.
        when_inconclusive: What to do if it is undecided at the end of a stage's `max_bake`; the
            most careful answer of several counts.
    """

    metric: MetricName = SUCCESS
    kind: GuardrailKind = GuardrailKind.EVIDENCE
    role: Role = Role.GUARDRAIL
    direction: Direction | None = None
    harm: float | None = None
    margin: float | None = None
    alpha: Level | None = None
    per: Literal["user", "event"] = "user"
    floor: float | None = Field(default=None, ge=0, le=1)
    target: float | None = Field(default=None, ge=0, le=1)
    limit: float | None = None
    quantile: Level | None = None
    min_events: int | None = Field(default=None, ge=0, le=10**9)
    dry_run: bool = False
    when_blind: Doubt = "hold"
    when_no_traffic: Doubt = "hold"
    when_inconclusive: Inconclusive = "hold"

    @model_validator(mode="before")
    @classmethod
    def _shorthand(cls, given: object) -> object:
        """Read `success` for {metric: success}; a plan of 0.1 had thresholds and did not say so."""
        if isinstance(given, str):
            return {"metric": given}
        if not is_map(given) or "kind" in given:
            return given
        kind = GuardrailKind.THRESHOLD if "target" in given else GuardrailKind.EVIDENCE
        kind = GuardrailKind.LIMIT if "limit" in given else kind
        return given | {"kind": kind}

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for complain in (self._fits_kind, self._has_limit, self._has_direction, self._in_range):
            complain()
        return self

    def _fits_kind(self) -> None:
        """Refuse a field that this kind would ignore."""
        given = self.model_fields_set - {"kind"}
        for name, kinds in FIELDS.items():
            if name in given and getattr(self, name) is not None and self.kind not in kinds:
                raise ValueError(
                    f"{name} {getattr(self, name)!r} means nothing to kind {self.kind}:"
                    f" it is for {' and '.join(kinds)}"
                )
        if self.kind is GuardrailKind.THRESHOLD and self.metric != SUCCESS:
            raise ValueError(f"kind threshold is for success, got {self.metric}: use kind limit")
        if self.kind is GuardrailKind.THRESHOLD and self.target_rate < self.floor_rate:
            raise ValueError(f"target {self.target_rate:g} is below floor {self.floor_rate:g}")
        if self.kind is GuardrailKind.EVIDENCE and self.floor is not None and not self.is_rate:
            raise ValueError(f"floor {self.floor:g} is of a rate, not of {self.metric}: use limit")
        if self.role is not Role.GUARDRAIL and self.alpha is not None:
            raise ValueError(
                f"alpha {self.alpha:g} is spent by guardrails only, not by {self.role}"
            )
        if self.role is not Role.GUARDRAIL and self.dry_run:
            raise ValueError(f"dry_run is for a guardrail: a {self.role} never rolls back")

    def _has_limit(self) -> None:
        if self.kind is not GuardrailKind.LIMIT:
            return
        if self.limit is None:
            raise ValueError("kind limit needs a limit")
        if self.metric == SUCCESS and not 0 < self.limit < 1:
            raise ValueError(f"limit of a rate must be between 0 and 1, got {self.limit:g}")
        if self.metric == SUCCESS and self.quantile is not None:
            raise ValueError(f"quantile {self.quantile:g} is of numbers, not of success")

    def _has_direction(self) -> None:
        known = BETTER.get(self.metric)
        if known is None and self.direction is None and self.role is not Role.INFO:
            raise ValueError(
                f"metric {self.metric!r} is none of {', '.join(BETTER)}; a custom number needs a"
                " direction: higher_is_better or lower_is_better"
            )
        if known is not None and self.direction not in (None, known):
            raise ValueError(f"direction of {self.metric} is {known}, got {self.direction}")

    def _in_range(self) -> None:
        most, within = (10, "at most 10") if self.relative else (1 - 1e-9, "less than 1")
        for name, value in (("harm", self.harm), ("margin", self.margin)):
            nothing = name == "harm" and self.relative and value == 0
            if value is not None and not nothing and not 0 < value <= most:
                least = "at least" if name == "harm" and self.relative else "greater than"
                raise ValueError(f"{name} must be {least} 0 and {within}, got {value:g}")

    @property
    def name(self) -> str:
        """What readings call it: `success`, `success limit`, `response_time p95 limit`."""
        if self.kind is not GuardrailKind.LIMIT:
            return self.metric
        return (
            f"{self.metric} limit" if self.is_rate else f"{self.metric} p{self.keeping:.3g} limit"
        )

    @property
    def keeping(self) -> float:
        """The percentage of observations that must keep to the limit of a number."""
        return 100 * (0.95 if self.quantile is None else self.quantile)

    @property
    def is_rate(self) -> bool:
        """Whether it is a share of observations rather than a number."""
        return self.metric == SUCCESS

    @property
    def relative(self) -> bool:
        """Whether `harm` and `margin` are relative: of numbers other than ratings."""
        return self.metric not in (SUCCESS, RATING)

    @property
    def higher_is_better(self) -> bool:
        """Which way is better."""
        return (self.direction or BETTER.get(self.metric)) is not Direction.LOWER

    @property
    def floor_rate(self) -> float:
        """The floor of a threshold."""
        return 0.8 if self.floor is None else self.floor

    @property
    def target_rate(self) -> float:
        """The target of a threshold."""
        return 0.95 if self.target is None else self.target

    @property
    def fewest(self) -> int:
        """How many observations are too few to judge."""
        if self.min_events is not None:
            return self.min_events
        return FEWEST["rate" if self.is_rate else "number"]

    @property
    def drop(self) -> float:
        """The drop of a rate that the evidence is tuned to catch fast."""
        return DROP if self.relative or self.harm is None else self.harm

    @property
    def forgiven(self) -> float:
        """The relative worsening of a number that is not held against it."""
        worsening = WORSENING if self.harm is None else self.harm
        return worsening if self.relative else 0.0

    @property
    def slack(self) -> float:
        """The relative worsening of a number that still counts as safe."""
        slack = SLACK if self.margin is None else self.margin
        return slack if self.relative else 0.0

    @property
    def allowance(self) -> float:
        """The difference of rates that still counts as safe."""
        return DROP if self.relative or self.margin is None else self.margin

    @property
    def weighs(self) -> bool:
        """Whether its evidence counts towards a rollback."""
        return self.acts and self.kind is not GuardrailKind.THRESHOLD

    @property
    def acts(self) -> bool:
        """Whether its harm rolls back."""
        return self.role is Role.GUARDRAIL and not self.dry_run


FIELDS = {  # which kinds read a field; all others are read by all kinds
    "harm": (GuardrailKind.EVIDENCE,),
    "margin": (GuardrailKind.EVIDENCE,),
    "alpha": (GuardrailKind.EVIDENCE, GuardrailKind.LIMIT),
    "floor": (GuardrailKind.EVIDENCE, GuardrailKind.THRESHOLD),
    "target": (GuardrailKind.THRESHOLD,),
    "limit": (GuardrailKind.LIMIT,),
    "quantile": (GuardrailKind.LIMIT,),
}
