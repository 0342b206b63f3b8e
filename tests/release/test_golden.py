import msgspec
import numpy as np
import pytest

from toolchain.errors import BundleError, ModelError
from toolchain.release.golden import (
    DRAWS,
    EXAMPLES,
    PATCHES,
    Check,
    Job,
    _check_tolerance,
    _tolerance,
    difference,
    examine,
    furthest_apart,
    random_inputs,
    reproduce,
)
from toolchain.release.manifest import TensorFacts
from toolchain.worker import silent


@pytest.fixture
def made(tmp_path, tiny_int8):
    """Golden vectors of the int8 file, and the job that checks them."""
    found = examine(Job(tiny_int8, "static_w8a8", tmp_path, "m", (0.0, 1.0), 0), silent)
    golden = found.golden
    return golden, Check(tiny_int8, tuple(tmp_path / n for n in golden.inputs), tuple(tmp_path / n for n in golden.outputs), "reference")


def test_int8_files_are_answered_by_the_reference_kernels_as_they_store_values(made, tiny_int8):
    from toolchain.runners.litert import LiteRT

    golden, check = made
    inputs, outputs = np.load(check.inputs[0]), np.load(check.outputs[0])
    assert (golden.runtime.split()[-1], inputs.dtype, inputs.shape, outputs.shape) == (
        "reference",
        np.int8,
        (EXAMPLES, 8, 8, 1),
        (EXAMPLES, 3),
    )
    assert np.array_equal(LiteRT(tiny_int8, kernels="reference").predict_raw([inputs]), outputs)
    others = [LiteRT(tiny_int8, kernels=kernels).predict_raw([inputs]) for kernels in ("builtin", "xnnpack")]
    assert golden.tolerance == 1 + max(int(np.abs(other.astype(int) - outputs).max()) for other in others)
    assert reproduce(check, silent).differences == (0.0,)
    assert (golden.same_kernels, golden.values) == (0.0, 3)
    assert golden.varying == sum(len(set(column)) > 1 for column in outputs.T.tolist())
    assert len({tuple(row) for row in outputs.tolist()}) > EXAMPLES / 2


def test_a_changed_answer_is_measured_in_steps(made):
    _, check = made
    outputs = np.load(check.outputs[0])
    outputs[3, 1] += 5 if outputs[3, 1] < 100 else -5
    np.save(check.outputs[0], outputs)
    assert reproduce(check, silent).differences == (5.0,)


def test_floats_have_a_tolerance_of_their_size(tmp_path, tiny_float):
    golden = examine(Job(tiny_float, "float32", tmp_path, "m", (0.0, 1.0), 0), silent).golden
    largest = np.abs(np.load(tmp_path / golden.outputs[0])).max()
    assert golden.tolerance == golden.same_kernels == pytest.approx(1e-4 * largest)
    assert golden.runtime.endswith("xnnpack")
    assert golden.varying == golden.values == 3


def test_files_that_round_on_the_way_have_a_larger_one_and_none_where_it_hides_all_answers(tmp_path, tiny_float):
    job, answers = Job(tiny_float, "dynamic_w8", tmp_path, "m", (0.0, 1.0), 0), np.array([[0.5, 2.0]], np.float32)
    assert _tolerance(job, [answers], [("litert 2 xnnpack", [answers])])[0] == pytest.approx(0.05 * 2)
    with pytest.raises(ModelError, match=r"kernels may differ by 0.017\d on random inputs, whose answers span 0.0\d+;"):
        examine(job, silent)
    assert not list(tmp_path.iterdir())


def test_a_seed_gives_the_same_vectors_and_another_seed_others(tmp_path, tiny_int8):
    contents = []
    for seed in (1, 1, 2):
        examine(Job(tiny_int8, "static_w8a8", tmp_path, "m", (0.0, 1.0), seed), silent)
        contents.append((tmp_path / "m.input_0.npy").read_bytes())
    assert contents[0] == contents[1] != contents[2]


def test_inputs_fill_their_type_with_contrast_about_its_middle():
    floats, bytes_, tokens = random_inputs(
        [TensorFacts("f", (1, 500), "float32"), TensorFacts("q", (1, 5000), "int8", 0.1, 3), TensorFacts("t", (1, 50), "int32")],
        (-1.0, 3.0),
        0,
    )
    assert floats.dtype == np.float32
    noise = floats[1::2].astype(float)
    assert noise[0].mean() == pytest.approx(1, abs=0.02)
    assert (noise.min(), noise.max()) == pytest.approx((-1, 3), abs=0.1)
    assert np.all(np.abs(noise - 1) <= 2 * np.linspace(1 / DRAWS, 1, DRAWS)[1::2, None] + 1e-6)
    assert (bytes_.min(), bytes_.max()) == (-128, 127)
    assert set(np.unique(tokens)) == {0, 1}
    with pytest.raises(ModelError, match="beside the batch is open"):
        random_inputs([TensorFacts("x", (1, None), "float32")], (0.0, 1.0), 0)


def test_every_second_draw_is_of_patches_in_each_channel():
    (draws,) = random_inputs([TensorFacts("x", (1, 8, 5, 3), "float32")], (0.0, 1.0), 0)
    noise, smooth = draws[1::2], draws[::2]
    assert len(np.unique(noise[-1])) == 8 * 5 * 3
    assert len(np.unique(smooth[-1])) == PATCHES * 3 * 3
    assert np.array_equal(smooth[:, 0:2, 0:2, :], np.broadcast_to(smooth[:, :1, :1, :], smooth[:, 0:2, 0:2, :].shape))


def test_answers_furthest_apart_are_kept():
    """Sure of one class but eight times: a draw each of those, where the least certain ones would be eight alike."""
    answers = np.zeros((DRAWS, 4), np.int8)
    answers[:, 0] = 100
    rows = {
        1: (0, 100, 0, 0),
        4: (0, 0, 100, 0),
        9: (0, 0, 0, 100),
        12: (50, 50, 0, 0),
        15: (50, 0, 50, 0),
        20: (50, 0, 0, 50),
        25: (25, 25, 25, 25),
    }
    for index, row in rows.items():
        answers[index] = row
    kept = furthest_apart([answers]).tolist()
    assert set(kept) >= rows.keys()
    assert len(set(kept)) == EXAMPLES


def test_answers_that_are_all_one_and_no_number_leave_a_choice():
    kept = furthest_apart([np.full((DRAWS, 2), np.nan), np.full((DRAWS, 1), np.inf), np.full((DRAWS, 1), 7)])
    assert len(set(kept.tolist())) == EXAMPLES


@pytest.mark.parametrize(("tolerance", "fine"), [(10.0, True), (10.1, False), (float("inf"), False), (float("nan"), False)])
def test_a_tolerance_of_over_a_tenth_of_what_is_answered_is_no_test(tolerance, fine):
    outputs = [np.array([[0.0, np.nan], [100.0, np.inf]])]
    if fine:
        _check_tolerance(tolerance, outputs)
    else:
        with pytest.raises(ModelError, match=r"answers span 100; a check would tell nothing"):
            _check_tolerance(tolerance, outputs)


def test_a_step_of_an_integer_is_always_allowed():
    _check_tolerance(1.0, [np.full((2, 2), 5, np.int8)])
    with pytest.raises(ModelError, match="differ by 2 on"):
        _check_tolerance(2.0, [np.full((2, 2), 5, np.int8)])


def test_a_difference_is_the_largest_and_no_number_is_none():
    assert difference(np.array([-128], np.int8), np.array([127], np.int8)) == 255
    assert difference(np.array([1.0, np.nan]), np.array([1.0, np.nan])) == 0
    assert difference(np.array([1.0, np.nan]), np.array([1.0, 2.0])) == float("inf")


@pytest.mark.parametrize(
    ("scheme", "apart", "tolerance"), [("static_w8a8", 3, 4.0), ("static_w8a8", None, 1.0), ("int8_from_tflite", None, 0.0)]
)
def test_the_tolerance_is_what_kernels_differ_by_and_one_step_more(tmp_path, scheme, apart, tolerance):
    kept = np.array([[1, 2]], np.int8)
    others = [] if apart is None else [("litert 2 builtin", [kept]), ("litert 2 xnnpack", [kept + np.array([[0, apart]], np.int8)])]
    found, why = _tolerance(Job(tmp_path, scheme, tmp_path, "m", (0.0, 1.0), 0), [kept], [("litert 2 reference", [kept]), *others])
    assert found == tolerance
    assert apart is None or "builtin, xnnpack differ by up to 3 steps" in why


@pytest.mark.parametrize("kind", ["pickle", "text", "shape", "dtype", "claims", "archive", "count"])
def test_arrays_that_are_not_the_files_are_refused(made, tmp_path, kind):
    _, check = made
    path = check.inputs[0]
    if kind == "pickle":
        np.save(path, np.array([{}], object), allow_pickle=True)
    elif kind == "text":
        path.write_text("no array")
    elif kind == "shape":
        np.save(path, np.zeros((EXAMPLES, 8, 8, 2), np.int8))
    elif kind == "dtype":
        np.save(path, np.zeros((EXAMPLES, 8, 8, 1), np.float32))
    elif kind == "claims":
        path.write_bytes(path.read_bytes().replace(b"(8, 8, 8, 1)", b"(8, 8, 8**9)")[:200])
    elif kind == "archive":
        with path.open("wb") as file:
            np.savez(file, a=np.zeros(3))
    else:
        check = msgspec.structs.replace(check, inputs=(*check.inputs, path))
    with pytest.raises(BundleError):
        reproduce(check, silent)
