import msgspec
import numpy as np
import pytest
from latency.small import profile

from toolchain.errors import TargetError
from toolchain.latency import profile as profiles
from toolchain.latency.work import TERMS


@pytest.mark.parametrize("name", profiles.names())
def test_every_profile_is_whole(name):
    found = profiles.load(name)
    assert found.name == name
    assert name.endswith(f"/{found.core}")
    assert list(found.cycles) == list(TERMS)
    assert all(cost > 0 for cost in found.cycles.values())
    covariance = np.array(found.covariance)
    assert covariance.shape == (len(TERMS) + len(found.boards),) * 2
    assert np.array_equal(covariance, covariance.T)
    assert np.linalg.eigvalsh(covariance).min() > -1e-5  # rounded to six digits after the point
    assert set(found.shares) <= set(TERMS)
    assert found.macs[0] <= found.macs[1]
    assert {row.board for row in found.rows} == {board.name for board in found.boards}
    assert all(row.source for row in found.rows)


@pytest.mark.parametrize("name", profiles.names())
def test_errors_follow_from_the_rows(name):
    found = profiles.load(name)
    held_out = [row for row in found.rows if row.held_out_ms is not None]
    assert found.errors.fit == pytest.approx(np.mean([abs(row.fitted_ms / row.ms - 1) for row in found.rows]), abs=1e-3)
    assert found.errors.held_out_rows == len(held_out)
    if held_out:
        error = np.mean([abs(row.held_out_ms / row.ms - 1) for row in held_out])
        assert found.errors.leave_one_family_out == pytest.approx(error, abs=1e-3)
        inside = np.mean([row.held_out_interval_ms[0] <= row.ms <= row.held_out_interval_ms[1] for row in held_out])
        assert found.errors.coverage == pytest.approx(inside, abs=1e-3)


def test_a_wrong_name_is_answered_with_the_nearest():
    with pytest.raises(TargetError, match="no latency profile 'x-cube-ai-8.1.0/cortex-m77'; did you mean 'x-cube-ai-8.1.0/cortex-m7'"):
        profiles.load("x-cube-ai-8.1.0/cortex-m77")
    with pytest.raises(TargetError, match=r"round-1.0/cortex-m4 was not measured on 'bord'; did you mean 'board'"):
        profile().board("bord")


def test_a_broken_profile_names_its_file(tmp_path, monkeypatch):
    (tmp_path / "engine-1").mkdir()
    monkeypatch.setattr(profiles, "folder", lambda: tmp_path)
    (tmp_path / "engine-1" / "cortex-m4.json").write_bytes(msgspec.json.encode(msgspec.to_builtins(profile()) | {"extra": 1}))
    with pytest.raises(TargetError, match=r"cortex-m4.json: .*extra"):
        profiles.load("engine-1/cortex-m4")
