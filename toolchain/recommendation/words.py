"""Why a file is recommended, in words for someone who has never seen the project."""

from __future__ import annotations

from collections.abc import Sequence

from toolchain import target_rows
from toolchain.errors import ToolchainError
from toolchain.measure import paired
from toolchain.recommendation.candidates import Candidate, shared
from toolchain.report import TargetReport


def fit(on: TargetReport | None) -> str:
    """Whether it fits, with the memory it needs."""
    if on is None:
        return ""
    memories = (("flash", on.flash_bytes, on.device_flash_bytes), ("SRAM", on.sram_bytes, on.device_sram_bytes))
    sizes = [f"{used:,} B of {f'{there:,} B ' if there else ''}{name}" for name, used, there in memories if used is not None]
    needs = f" ({' and '.join(sizes)}, with what is reserved)" if sizes else ""
    return f"fits{needs}" if on.fits else f"may fit, which is not known: {'; '.join(on.reasons) or 'nothing tells'}{needs}"


def accuracy(ranked: Sequence[Candidate], which: str) -> str:
    """What the first of the ranked loses, and whether others lose less; `which` says what they have in common."""
    first, count = ranked[0].loss, len(ranked)
    if first.drop is None:
        return f"was {first.change}"
    if not first.bearable:
        return f"loses {f'the least accuracy of the {count} files {which}' if count > 1 else 'accuracy'} ({first.said})"
    only = count > 1 and not ranked[1].loss.bearable
    if not first.unnoticed:
        how_much = f"no more accuracy than the gate allows, {first.allowed:.3g},"
    elif first.interval and first.interval[0] <= 0:
        how_much = "no accuracy that the test can show"
    else:
        how_much = f"less than half a {first.unit}"
    return f"{f'is the only one of the {count} files {which} to lose' if only else 'loses'} {how_much} ({first.said})"


def cost(ranked: Sequence[Candidate], which: str) -> str:
    """What the first of the ranked takes, beside the files that lose no more."""
    first = ranked[0]
    equals = [one for one in ranked if (one.loss.bearable if first.loss.bearable else one.loss.drop == first.loss.drop)]
    key = shared(equals)
    if len(ranked) == 1:
        return f"is the only candidate {which.replace('fit', 'fits')}" + (f" ({first.costs[key].said})" if key else "")
    if len(equals) == 1:
        return f"takes {first.costs[key].said}" if key else ""
    among = f"of the {len(equals)} files {'of which that is true' if len(equals) < len(ranked) else which}"
    if key is None:
        return f"is the smallest {among}"
    return f"takes the {'least time' if key[0] == 'time' else 'fewest instructions'} {among} ({first.costs[key].said})"


def remarks(first: Candidate, unlimited: bool, stopped: int) -> str:
    """What else a reader should know: other outputs on the target, and what the gate did."""
    differing = [result for result in target_rows.nearest(first.on) if result.outputs_match is False] if first.on else []
    said = [f"On the target {one.comparison} ({target_rows.origin(one)})." for one in differing]
    if unlimited:
        said.append("No limit of the gate is about it.")
    if stopped:
        said.append(f"The gate stops {stopped} more.")
    return " ".join(said)


def behind(first: Candidate, second: Candidate) -> str:
    """How the runner-up compares with the file that was taken."""
    key = shared([first, second])
    download = f"{second.artifact.gzip_bytes / max(1, first.artifact.gzip_bytes):.2f} times the download"
    takes = f"{_times(first, second, key)} and {download}" if key and first.costs[key].amount > 0 else download
    lost = second.loss
    if lost.drop is not None and not lost.bearable:
        return f"takes {takes}, but {'may lose' if lost.uncertain else 'loses'} accuracy ({lost.said})"
    return f"takes {takes} ({lost.said})"


def _times(first: Candidate, second: Candidate, key: tuple[str, ...]) -> str:
    times, evidence = second.costs[key].amount / first.costs[key].amount, second.costs[key].said
    if key == ("time", "here") and first.artifact.latency and second.artifact.latency:
        try:
            times, (low, high) = paired.ratio(second.artifact.latency, first.artifact.latency)
        except ToolchainError as err:
            evidence += f"; no interval: {err}"
        else:
            evidence += f"; 95 % interval of the ratio {low:.2f} to {high:.2f}"
    return f"{times:.2f} times the {key[0]} ({evidence})"


def listed(items: Sequence[str], separator: str = ", ") -> str:
    """All of a few, the first of many."""
    return separator.join(items) if len(items) <= 4 else f"{separator.join(items[:3])}{separator}and {len(items) - 3} more"
