"""Several guardrails, one error rate: their e-values averaged, and the guilty ones named."""

import math
from collections.abc import Sequence

from domain.errors import InvalidValue


def combined(log_es: Sequence[float], weights: Sequence[float]) -> float:
    """Return the log of the weighted mean of e-values: an e-value, whatever their dependence.

    Vovk & Wang, "E-values: calibration, combination and applications", Annals of Statistics 49
    (2021), section 3. -inf when there is nothing to combine.

    Args:
        log_es: Logarithms of the e-values.
        weights: As many, >= 0, their sum at most 1; what is missing counts as an e-value of 0.

    Raises:
        InvalidValue: Weights that are not like that, or an e-value that is not a number.
    """
    _check(log_es, weights)
    return _log_sum(list(zip(log_es, weights, strict=True)))


def guilty(log_es: Sequence[float], weights: Sequence[float], *, alpha: float) -> list[int]:
    """Return the positions of what is proven harmed, the strongest evidence first.

    Closed testing with the weighted mean as local test (Vovk & Wang 2021, section 5): i is guilty
    when every set with i in it would be rejected. The chance that an innocent one is ever named is
    at most alpha. None may be named although `combined` reaches log(1 / alpha): then some of them
    are harmed, and it is not proven which.

    Args:
        log_es: As for `combined`.
        weights: As for `combined`; what has weight 0 is never named.
        alpha: In (0, 1).

    Raises:
        InvalidValue: As `combined`, or alpha not between 0 and 1.
    """
    _check(log_es, weights)
    if not 0 < alpha < 1:
        raise InvalidValue(f"alpha must be between 0 and 1, got {alpha}")
    pairs = [(log_e, weight) for log_e, weight in zip(log_es, weights, strict=True) if weight]
    whole = math.log(math.fsum(weights)) if pairs else 0.0
    named = [
        i
        for i, weight in enumerate(weights)
        if weight and _weakest_mean((log_es[i], weight), pairs) + whole >= -math.log(alpha)
    ]
    return sorted(named, key=lambda i: -log_es[i])


def anytime_p(log_e_max: float) -> float:
    """Return the p-value that holds at any time, in [0, 1].

    Ramdas, Grünwald, Vovk & Shafer, "Game-theoretic statistics and safe anytime-valid inference",
    Statistical Science 38 (2023).

    Args:
        log_e_max: The largest log e-value so far.
    """
    return math.exp(-max(log_e_max, 0.0))


def _weakest_mean(one: tuple[float, float], pairs: list[tuple[float, float]]) -> float:
    """Return the smallest log weighted mean over the sets with `one` in them.

    Another e-value lowers a mean exactly when it is below it, so the smallest are added while they
    do. `one` itself is never below the mean.
    """
    log_sum, weight = one[0] + math.log(one[1]), one[1]
    for log_e, more in sorted(pairs):
        if log_e >= log_sum - math.log(weight):
            break
        log_sum, weight = _log_sum([(log_sum, 1.0), (log_e, more)]), weight + more
    return log_sum - math.log(weight)


def _log_sum(pairs: list[tuple[float, float]]) -> float:
    """Return log of the sum of weight times e."""
    top = max((log_e for log_e, weight in pairs if weight), default=-math.inf)
    if math.isinf(top):
        return top
    total = math.fsum(weight * math.exp(log_e - top) for log_e, weight in pairs if weight)
    return top + math.log(total)


def _check(log_es: Sequence[float], weights: Sequence[float]) -> None:
    if len(log_es) != len(weights):
        raise InvalidValue(f"{len(log_es)} e-values need as many weights, got {len(weights)}")
    if not all(weight >= 0 for weight in weights) or not math.fsum(weights) <= 1 + 1e-9:
        raise InvalidValue(f"weights must be at least 0 and sum to at most 1, got {list(weights)}")
    if any(math.isnan(log_e) for log_e in log_es):
        raise InvalidValue(f"e-values must be numbers, got logarithms {list(log_es)}")
