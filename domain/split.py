"""Shares of traffic: from weights to what an experiment splits by, exactly."""

import math
from collections.abc import Mapping, Sequence

from domain.errors import InvalidValue, VersioningError
from domain.prompts import PromptVariant

EXACT = 1e-9  # a sum this near to 1 is 1: the shares stay as they were written
LOOSE = 0.01  # a given split may be this far off: people write .33, .33, .33


def split_of(
    variants: Sequence[PromptVariant], *, given: Mapping[str, float] | None
) -> dict[str, float]:
    """Return each variant's share, in their order, summing to 1.

    Raises:
        VersioningError: There are fewer than two variants.
        InvalidValue: Versions repeat, or the given split does not fit them or sum to 1.
    """
    versions = [variant.version for variant in variants]
    if len(versions) < 2:
        raise VersioningError(f"An experiment needs at least 2 variants, got {len(versions)}")
    if len(set(versions)) < len(versions):
        raise InvalidValue(f"versions of variants must differ, got {versions}")
    if given is None:
        return _normalised({variant.version: variant.weight for variant in variants})
    if set(given) != set(versions):
        raise InvalidValue(f"traffic_split must name {versions}, got {list(given)}")
    return shares_of(versions, given=given, within=LOOSE)


def shares_of(
    versions: Sequence[str], *, given: Mapping[str, float], within: float = EXACT
) -> dict[str, float]:
    """Return each version's share, in their order, summing to 1; one not named has none.

    Raises:
        InvalidValue: A version is unknown, a share is negative or not finite, or they do not sum to
            1 within `within`.
    """
    if unknown := set(given) - set(versions):
        raise InvalidValue(f"no variant has version {sorted(unknown)}: known are {list(versions)}")
    shares = {version: float(given.get(version, 0.0)) for version in versions}
    if not all(math.isfinite(share) and share >= 0 for share in shares.values()):
        raise InvalidValue(f"shares must be >= 0 and finite, got {shares}")
    total = sum(shares.values())
    if abs(total - 1) > within:
        raise InvalidValue(f"Traffic split must sum to 1.0, got {total}")
    return _normalised(shares)


def _normalised(shares: Mapping[str, float]) -> dict[str, float]:
    total = sum(shares.values())
    if not math.isfinite(total):
        raise InvalidValue(f"weights must have a finite sum, got {dict(shares)}")
    if abs(total - 1) <= EXACT:
        return dict(shares)
    return {version: share / total for version, share in shares.items()}
