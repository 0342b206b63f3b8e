import hashlib

import made_reports
import pytest

from toolchain import delivery, report
from toolchain.errors import StorageError


def test_a_file_that_a_run_wrote_is_replaced_and_one_that_was_changed_since_is_not(tmp_path):
    name, content = "static_w8a8.tflite", b"a model"
    row = made_reports.artifact(name, digest=hashlib.sha256(content).hexdigest())
    (tmp_path / "report.json").write_bytes(report.dumps(made_reports.run(row)))
    (tmp_path / name).write_bytes(content)
    delivery.check_free(tmp_path, [name, "other.tflite", *delivery.REPORTS])
    (tmp_path / name).write_bytes(b"somebody's")
    with pytest.raises(StorageError, match=r"holds static_w8a8.tflite, which no earlier run wrote, or somebody changed since"):
        delivery.check_free(tmp_path, [name, *delivery.REPORTS])
    (tmp_path / name).unlink()
    delivery.check_free(tmp_path, [name])
