"""Try a recipe's attempts in order and choose: the first file that loses no more than the budget on the validation split."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from toolchain.errors import RecipeError, ToolchainError
from toolchain.measure.drop import Drop
from toolchain.recipe import Attempt, name_of
from toolchain.report import AttemptReport, Skipped
from toolchain.stage import Export
from toolchain.steps import Made, Run
from toolchain.target import Target


class Tried(msgspec.Struct, frozen=True):
    """An attempt that gave a file, and the model the file was made from."""

    attempt: Attempt
    model: Made
    file: Made
    drop: Drop


class Choice(msgspec.Struct, frozen=True):
    """The attempt that is shipped, all that gave a file, by its name in the output folder, and what the report says of each."""

    chosen: Tried
    files: dict[str, Tried]
    reports: tuple[AttemptReport, ...]
    offered: tuple[Attempt, ...]
    """All of the recipe."""


def choose(work: Run, begin: Made, targets: Sequence[Target]) -> Choice:
    """Run attempts until one meets the budget; where none does, the one that lost least, with a note.

    An attempt that needs types which a target does not take is left out. Raises RecipeError where no attempt gives a file.
    """
    budget = work.plan.max_accuracy_drop
    tried, reports = list[Tried](), list[AttemptReport]()
    for attempt in work.plan.attempts:
        stages = tuple(name_of(stage) for stage in attempt.stages)
        if refusal := _refusal(attempt, targets):
            work.skipped.append(Skipped(f"attempt {attempt.name}", attempt.alternative, refusal))
            reports.append(AttemptReport(attempt.name, stages, 0.0, reason=refusal))
            continue
        try:
            model = work.stages(attempt.stages, begin, f"{attempt.name}: ")
            file = work.export(attempt.export, model, f"{attempt.name}: ")
            found = work.judge(f"{attempt.name}: judging {file.path.name}", file)
        except ToolchainError as err:  # what one attempt cannot do, another may
            work.skipped.append(Skipped(f"attempt {attempt.name}", attempt.alternative, str(err)))
            reports.append(AttemptReport(attempt.name, stages, _seconds(work, attempt), reason=str(err)))
            continue
        tried.append(Tried(attempt, model, file, found))
        met = found.within(budget)
        reports.append(
            AttemptReport(attempt.name, stages, _seconds(work, attempt), found.metric, found.original, found.value, found.lost, met)
        )
        if met:
            break
    if not tried:
        raise RecipeError(f"{work.plan.name}: no attempt gave a file; the first: {reports[0].reason}")
    chosen = tried[-1] if reports[-1].met else min(tried, key=lambda one: one.drop.lost)
    if not chosen.drop.within(budget):
        least = f"{chosen.attempt.name} loses {chosen.drop.lost:.4g}, the least, and is taken"
        why = f"none loses at most {budget:g} on the validation split; {least}"
        work.skipped.append(Skipped("attempts", "the accuracy budget", why))
    if caveat := _caveat(work, budget):
        work.skipped.append(Skipped("attempts", "the accuracy budget", caveat))
    work.skipped += [
        Skipped(f"attempt {later.name}", later.alternative, f"not needed: {chosen.attempt.name} meets the budget")
        for later in work.plan.attempts[len(reports) :]
    ]
    work.chosen[chosen.attempt.product] = chosen.file
    files = {one.attempt.name: one.attempt.product if one is chosen else one.attempt.alternative for one in tried}
    named = [msgspec.structs.replace(row, artifact=files.get(row.name), chosen=row.name == chosen.attempt.name) for row in reports]
    return Choice(chosen, {files[one.attempt.name]: one for one in tried}, tuple(named), work.plan.attempts)


def without_source(export: Export, choice: Choice) -> str | None:
    """Why an export cannot be written: it is, or is made from, a file that the attempts offered and did not choose."""
    needed, chosen = export.source or export, choice.chosen.attempt.product
    if export.of == "original" or needed.name == chosen or needed.name not in {attempt.product for attempt in choice.offered}:
        return None
    return f"it is made from {needed.name}, and {chosen} was chosen" if export.source else f"{chosen} was chosen"


def _refusal(attempt: Attempt, targets: Sequence[Target]) -> str | None:
    """Why a target rules the attempt out."""
    for target in targets:
        if lacking := set(attempt.needs) - set(target.device.runtime.dtypes):
            return f"{target.name} takes no {' and no '.join(sorted(lacking))} activations"
    return None


def _caveat(work: Run, budget: float) -> str | None:
    """Why the budget says less than it seems to."""
    if work.data is None:
        return "no data was given: judged on random inputs, which say little"
    size = work.data.size("validation")
    if 0 < budget * size < 1:
        return f"the validation split has {size:,} examples, of which one is {1 / size:.2%}: more than the budget of {budget:.2%}"
    return None


def _seconds(work: Run, attempt: Attempt) -> float:
    """What the attempt's own steps took when they were computed."""
    return round(sum(step.seconds for step in work.steps if step.name.startswith(f"{attempt.name}: ")), 3)
