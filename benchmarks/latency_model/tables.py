"""The findings as Markdown, for `docs/latency.md` and the results folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmarks.latency_model.checks import Check
from benchmarks.latency_model.phones import Refused
from benchmarks.latency_model.profiles import Calibration
from toolchain.latency.profile import Profile


def percent(value: float | None) -> str:
    """A fraction in words; a dash where every estimate was refused."""
    return "-" if value is None else f"{value:.1%}".replace("%", " %")


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines) + "\n"


def checks(found: Mapping[str, Check]) -> str:
    """What was left out, and what came of it."""
    return table(
        ("check", "rows", "refused", "mean error", "from", "to", "in the 90 % interval", "mean width"),
        [
            (
                name,
                c.rows,
                c.refused,
                percent(c.error),
                *(f"{e:+.0%}".replace("%", " %") for e in c.worst),
                percent(c.coverage),
                percent(c.width),
            )
            for name, c in found.items()
        ],
    )


def profiles(found: Sequence[Profile]) -> str:
    """Every profile with its errors."""
    return table(
        ("profile", "rows", "families", "fit", "row left out", "family left out", "of rows", "in the 90 % interval", "mean width"),
        [
            (
                f"`{each.name}`",
                len(each.rows),
                len({row.family for row in each.rows}),
                percent(each.errors.fit),
                percent(each.errors.leave_one_row_out),
                percent(each.errors.leave_one_family_out),
                each.errors.held_out_rows,
                percent(each.errors.coverage),
                percent(each.errors.width),
            )
            for each in found
        ],
    )


def extremes(found: Sequence[Profile], count: int = 6) -> str:
    """The best and the worst estimates of rows whose family was left out."""
    rows = [(row.held_out_ms / row.ms - 1, each.name, row) for each in found for row in each.rows if row.held_out_ms is not None]
    ordered = sorted(rows, key=lambda item: (abs(item[0]), item[1], item[2].network, item[2].board))
    lines = [
        (
            f"`{name}`",
            row.network,
            row.board,
            f"{row.ms:g}",
            f"{row.held_out_ms:g}",
            f"{row.held_out_interval_ms[0]:g} to {row.held_out_interval_ms[1]:g}" if row.held_out_interval_ms else "",
            f"{error:+.1%}".replace("%", " %"),
        )
        for error, name, row in [*ordered[:count], *ordered[-count:]]
    ]
    return table(("profile", "network", "board", "published ms", "estimated ms", "90 % interval", "error"), lines)


def networks_refused(calibrations: Sequence[Calibration]) -> str:
    """Which networks a profile refuses while no network of the same family calibrates it."""
    lines = {}
    for calibration in calibrations:
        for each in calibration.families_out:
            if each.refused:
                lines.setdefault((each.row.family, each.row.network), []).append(each.relative_error)
    return table(
        ("family", "network", "rows", "what the error would have been"),
        [
            (family, network, len(errors), f"{min(errors):+.0%} to {max(errors):+.0%}".replace("%", " %"))
            for (family, network), errors in sorted(lines.items())
        ],
    )


def refused(reasons: Mapping[str, str], setups: Sequence[Refused]) -> str:
    """Profiles that were fitted and not written, and phones."""
    rows = [(f"`{name}`", reason) for name, reason in reasons.items()]
    rows += [(f"{each.setup} ({each.rows} rows, {each.setups} set-ups)", each.reason) for each in setups]
    return table(("not available", "why"), rows)


def excluded(counts: Mapping[str, int]) -> str:
    """Rows of `mcu_results.csv` that take no part."""
    return table(("rows left out", "why"), [(count, reason) for reason, count in counts.items()])
