"""The name that somebody probably meant."""

from __future__ import annotations

from collections.abc import Iterable

_LONGEST_NAME = 64
_MOST_CANDIDATES = 300


def nearest(name: str, candidates: Iterable[str]) -> str | None:
    """The candidate closest to a name, or null when none is close."""
    import difflib

    if len(name) > _LONGEST_NAME:
        return None
    known = [candidate for candidate in candidates if candidate != name][:_MOST_CANDIDATES]
    folded = {candidate.casefold(): candidate for candidate in reversed(known)}
    found = difflib.get_close_matches(name.casefold(), folded, n=1, cutoff=0.6)
    return folded[found[0]] if found else None


def did_you_mean(name: str, candidates: Iterable[str], otherwise: str = "") -> str:
    """A hint: the closest candidate, else the candidates when they are few, else `otherwise`."""
    known = sorted(set(candidates))
    close = nearest(name, known)
    if close is not None:
        return f"did you mean `{close}`?"
    if otherwise:
        return otherwise
    return f"known: {', '.join(known)}" if 0 < len(known) <= 12 else ""
