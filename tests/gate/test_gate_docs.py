"""docs/gate.md: its tables, its commands and its workflow are valid."""

import re
import shlex
import tomllib
from pathlib import Path

import pytest
import typer
import yaml

from toolchain.cli.app import app
from toolchain.gate.limits import BaselineLimits, Limits, from_tables

TEXT = (Path(__file__).parent.parent.parent / "docs" / "gate.md").read_text()


def block(language):
    (found,) = re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)
    return found


def workflow_steps():
    return yaml.safe_load(block("yaml"))["jobs"]["gate"]["steps"]


def commands():
    """Every secateur command of the text and of the workflow."""
    lines = re.findall(r"^    (secateur .*)$", TEXT, re.MULTILINE)
    return lines + [step["run"] for step in workflow_steps() if step.get("run", "").startswith("secateur ")]


@pytest.mark.parametrize("line", commands())
def test_commands_are_valid(line):
    _, name, *arguments = shlex.split(line)
    command = typer.main.get_command(app).commands[name]
    command.make_context(name, arguments).close()


def test_there_are_commands():
    assert [shlex.split(line)[1] for line in commands()] == ["run", "gate", "gate", "run", "gate"]


def test_the_example_holds_valid_limits():
    found = from_tables(tomllib.loads(block("toml"))["gate"], "docs/gate.md")
    assert [table.files for table in found] == ["static_w8a8.tflite", "*.tflite"]
    assert found[1].baseline == BaselineLimits(max_accuracy_drop=0.005, max_bytes=1.02, max_instructions=1.05)


def test_every_key_is_explained():
    explained = "".join(re.findall(r"^\| (`.*?) \|", TEXT, re.MULTILINE))
    assert set(re.findall(r"`(\w+)`", explained)) == set(Limits.__struct_fields__) - {"baseline"}
    (sentence,) = re.findall(r"In `\[gate.baseline\]` stand (.*?) as ratios", TEXT)
    assert set(re.findall(r"`(\w+)`", sentence)) == set(BaselineLimits.__struct_fields__)


def test_the_workflow_gates_what_it_made_and_shows_it():
    steps = workflow_steps()
    ran = next(step["run"] for step in steps if step.get("run", "").startswith("secateur run"))
    gate = next(step["run"] for step in steps if step.get("run", "").startswith("secateur gate"))
    out, written = shlex.split(ran)[-1], shlex.split(gate)
    assert written[2] == out
    fetched = next(step["run"] for step in steps if "gh run download" in step.get("run", ""))
    assert shlex.split(fetched)[-1] == written[written.index("--baseline") + 1]
    summary = next(step for step in steps if "GITHUB_STEP_SUMMARY" in step.get("run", ""))
    assert summary["run"] == f'cat {written[written.index("--markdown") + 1]} >> "$GITHUB_STEP_SUMMARY"'
    assert summary["if"].startswith("always()")  # a closed gate is what should be read
    assert any(step.get("with", {}).get("path") == written[written.index("--junit") + 1] for step in steps)
