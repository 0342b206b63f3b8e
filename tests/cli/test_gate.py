import json

import msgspec
import pytest
from conftest import secateur, tiny_model
from junitparser import JUnitXml
from made_reports import artifact, lost, on_target, run

from toolchain import recipe, report


@pytest.fixture
def folder(tmp_path):
    """A run without a gate, and beside it an earlier one, of which a file was smaller."""
    for name, bytes in (("out", 1000), ("main", 900)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "report.json").write_bytes(report.dumps(run(artifact(right=lost(11), bytes=bytes, targets=(on_target(),)))))
    return tmp_path


def gated(folder, *changes):
    """Write what a run with these limits in its recipe reports."""
    plan = recipe.load("edge_int8", changes)
    found = msgspec.structs.replace(report.load(folder / "out" / "report.json"), settings=msgspec.to_builtins(plan))
    (folder / "out" / "report.json").write_bytes(report.dumps(found))


def test_a_gate_that_holds_exits_with_0(folder):
    done = secateur("gate", "out", "--limit", "max_bytes=1000", "--limit", "must_fit=true", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "gate passed: 2 passed"


def test_a_gate_that_fails_exits_with_3_and_writes_what_ci_systems_read(folder):
    done = secateur("gate", "out/report.json", "--baseline", "main", "--limit", "max_bytes=999", "--limit", "max_accuracy_drop=0.01",
                    "--limit", "baseline.max_bytes=1.02", "--junit", "ci/gate.xml", "--markdown", "ci/gate.md", cwd=folder)  # fmt: skip
    assert done.returncode == 3
    assert done.stdout.splitlines()[-1] == "gate closed: 2 failed, 1 undecided"
    assert "failed: baseline.max_bytes of static_w8a8.tflite: 1,000 B, baseline 900" in done.stdout
    assert JUnitXml.fromfile(str(folder / "ci" / "gate.xml")).failures == 2
    assert (folder / "ci" / "gate.md").read_text().startswith("### secateur gate closed: 2 failed")


def test_what_cannot_be_checked_exits_with_3(folder):
    for limits in (["target=esp32", "must_fit=true"], ["baseline.max_bytes=9"], ["files=*.onnx", "max_bytes=9000"]):
        done = secateur("gate", "out", *(part for limit in limits for part in ("--limit", limit)), cwd=folder)
        assert done.returncode == 3
        assert "gate closed: 1 not known" in done.stdout


def test_json_has_every_verdict(folder):
    done = secateur("gate", "out", "--limit", "max_bytes=999", "--limit", "max_gzip_bytes=999", "--json", cwd=folder)
    assert done.returncode == 3
    found = json.loads(done.stdout)
    assert found["passed"] is False
    assert [(verdict["limit"], verdict["status"]) for verdict in found["verdicts"]] == [
        ("max_bytes", "failed"),
        ("max_gzip_bytes", "passed"),
    ]


def test_limits_come_from_the_run_or_from_another_file(folder):
    gated(folder, "gate.max_bytes=999")
    assert secateur("gate", "out", cwd=folder).returncode == 3
    (folder / "limits.toml").write_text("[gate]\nmax_bytes = 1000\n")
    assert secateur("gate", "out", "--recipe", "limits.toml", cwd=folder).returncode == 0
    assert secateur("gate", "out", "--limit", "max_bytes=1000", cwd=folder).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "the recipe of out, mine, has no [gate]; write one there, or a limit here, for example --limit max_accuracy_drop=0.01"),
        (("--recipe", "edge_int8"), "edge_int8 has no [gate]"),
        (("--recipe", "edge_int8", "--limit", "max_bytes=1"), "--recipe and --limit both give limits"),
        (("--limit", "bytes=1"), "no key 'bytes'; did you mean 'max_bytes'?"),
        (("--limit", "max_bytes=1", "--baseline", "nowhere"), "nowhere"),
        (("--limit", "max_bytes=1", "--junit", "out"), "a directory"),
    ],
)
def test_nothing_passes_by_mistake(folder, arguments, message):
    done = secateur("gate", "out", *arguments, cwd=folder)
    assert done.returncode == 2
    assert message in done.stderr.replace("\n", " ")
    assert "Traceback" not in done.stderr


def test_a_run_prints_its_gate_and_exits_with_3(folder, capsys):
    import typer

    from toolchain.cli.run import show
    from toolchain.gate.judge import judged

    found = report.load(folder / "out" / "report.json")
    show(judged(found, recipe.limits_of(["max_bytes=1000"])), folder)
    assert "gate passed: 1 passed" in capsys.readouterr().out
    show(found, folder)
    assert "gate passed" not in capsys.readouterr().out
    with pytest.raises(typer.Exit) as left:
        show(judged(found, recipe.limits_of(["max_bytes=999", "baseline.max_bytes=1"])), folder)
    assert left.value.exit_code == 3
    printed = capsys.readouterr().out
    assert "gate closed: 1 failed" in printed
    assert "note: gate: baseline.max_bytes: a run has no baseline; secateur gate judges its report against one" in printed


@pytest.mark.tensorflow
def test_a_run_with_a_closed_gate_delivers_what_it_made(tmp_path, npz):
    import keras

    tiny_model(keras).save(tmp_path / "tiny.keras")
    (tmp_path / "mine.toml").write_text('[data]\nscale = "1/255"\n[[export]]\nuse = "tflite"\nscheme = "static_w8a8"\n')
    done = secateur("run", "mine.toml", "--model", "tiny.keras", "--data", str(npz), "--out", "out", "--set", "gate.max_bytes=1",
                    "--set", "gate.max_accuracy_drop=1.0", "--set", "gate.baseline.max_bytes=1.02", cwd=tmp_path)  # fmt: skip
    assert done.returncode == 3, done.stderr
    assert done.stdout.splitlines()[-1] == "gate closed: 1 failed, 1 passed"
    found = report.load(tmp_path / "out" / "report.json")
    assert [(verdict.limit, verdict.status) for verdict in found.gate] == [("max_bytes", "failed"), ("max_accuracy_drop", "passed")]
    assert (tmp_path / "out" / "static_w8a8.tflite").stat().st_size == found.artifacts[0].bytes
    assert (tmp_path / "out" / "report.html").exists()
    again = secateur("gate", "out", "--baseline", "out", cwd=tmp_path)
    assert again.returncode == 3
    assert again.stdout.splitlines()[-1] == "gate closed: 1 failed, 2 passed"
