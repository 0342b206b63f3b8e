import pytest

from toolchain.corstone.console import Report, parse
from toolchain.errors import GuestError

LOG = """INFO - CPU: Cortex-M55 r0p1
E: E: E: INFO - Device MPS3 GLCD configured
INFO - Activation buffer (a.k.a tensor arena) size used: 27348
INFO - Number of operators: 2
INFO - \tOperator 0: CONV_2D
INFO - \tOperator 1: SOFTMAX
INFO - 1 input tensor/s populated with 490 bytes with data read from 0x92000000
INFO - 1 output tensor/s worth 12 bytes copied to 0x93000000
INFO - Inference completed.
INFO - program terminating...
""".replace("\n", "\r\n")


def test_a_whole_log_is_read():
    assert parse(LOG, 490) == Report(27_348, ("CONV_2D", "SOFTMAX"), 12)


@pytest.mark.parametrize(
    ("was", "now", "why"),
    [
        ("populated with 490", "populated with 489", "read 489 B of input, not 490"),
        ("INFO - \tOperator 1: SOFTMAX\r\n", "", "list of operators is not whole"),
        ("size used: 27348", "size used: ", "ended early"),
        ("INFO - program terminating...\r\n", "", "ended early; its last words: Inference completed."),
        ("INFO - Number", "ERROR - tensor allocation failed!\r\nINFO - Number", "stopped: ERROR - tensor allocation failed!"),
        ("INFO - Number", "TFLM - Didn't find op for builtin opcode 'GELU'\r\nINFO - Number", "Didn't find op for builtin opcode 'GELU'"),
    ],
)
def test_what_is_missing_or_wrong_in_a_log_is_the_reason(was, now, why):
    assert was in LOG
    with pytest.raises(GuestError, match=why):
        parse(LOG.replace(was, now), 490)


def test_silence_is_a_reason_too():
    with pytest.raises(GuestError, match="its last words: none"):
        parse("", 0)
