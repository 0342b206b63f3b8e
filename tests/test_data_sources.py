import numpy as np
import pytest
from conftest import HERE, shapes
from PIL import Image

from toolchain.data_sources import BUILT_IN, CLASSES, Request, cache_name, prepare
from toolchain.errors import DataError
from toolchain.worker import silent


def read(source, folder, purpose="run", seed=0):
    found = prepare(Request(str(source), purpose, seed, folder), silent)
    return found, {path.stem: np.load(path) for path in folder.glob("*.npy")}


def test_one_set_is_split_80_10_10_without_overlap_and_by_the_seed(tmp_path):
    np.savez(tmp_path / "d.npz", x=np.arange(100)[:, None], y=np.arange(100) % 3)
    _, first = read(tmp_path / "d.npz", tmp_path / "a")
    _, again = read(tmp_path / "d.npz", tmp_path / "b")
    _, other = read(tmp_path / "d.npz", tmp_path / "c", seed=1)
    parts = [set(first[f"x_{p}"].ravel().tolist()) for p in ("train", "validation", "test")]
    assert [len(part) for part in parts] == [80, 10, 10]
    assert set.union(*parts) == set(range(100))
    assert np.array_equal(first["x_test"], again["x_test"])
    assert not np.array_equal(first["x_test"], other["x_test"])
    assert np.array_equal(first["x_test"].ravel() % 3, first["y_test"])


def test_for_bench_the_whole_set_is_the_test_set(tmp_path):
    np.savez(tmp_path / "d.npz", x=np.arange(10)[:, None], y=np.arange(10))
    _, found = read(tmp_path / "d.npz", tmp_path / "a", "bench")
    assert found["x_test"].ravel().tolist() == list(range(10))
    assert not len(found["x_train"])


def test_given_splits_are_kept_and_validation_comes_from_training(tmp_path):
    x, y = shapes(60)
    np.savez(tmp_path / "d.npz", x_train=x[:50], y_train=y[:50], x_test=x[50:], y_test=y[50:])
    _, found = read(tmp_path / "d.npz", tmp_path / "a")
    assert np.array_equal(found["x_test"], x[50:])
    assert len(found["x_train"]) == 45
    assert len(found["x_validation"]) == 5


def test_one_hot_labels_become_classes_and_columns_become_vectors(tmp_path):
    np.savez(tmp_path / "hot.npz", x=np.zeros((10, 2)), y=np.eye(10)[[3, 1, 2, 0, 4, 5, 6, 7, 8, 9]])
    assert read(tmp_path / "hot.npz", tmp_path / "a", "bench")[1]["y_test"][:3].tolist() == [3, 1, 2]
    np.savez(tmp_path / "column.npz", x=np.zeros((10, 2)), y=np.arange(10)[:, None])
    assert read(tmp_path / "column.npz", tmp_path / "b", "bench")[1]["y_test"].shape == (10,)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": np.zeros((0, 4)), "y": np.zeros(0)}, "x is empty"),
        ({"x": np.zeros((3, 4)), "y": np.zeros(2)}, "3 examples in x but 2 labels in y"),
        ({"x": np.full((3, 4), np.nan)}, "x holds NaN or infinite values"),
        ({"images": np.zeros((3, 4))}, "needs x and y, or x_train, y_train, x_test and y_test; it holds images"),
        ({"x": np.array(["a", "b"])}, "x holds <U1, not numbers"),
        ({"x": np.zeros((2, 4)), "y": np.zeros(2)}, "2 examples are too few to split"),
        ({"x": np.array([{"a": 1}], object)}, "not a readable .npz of plain arrays"),
    ],
)
def test_unusable_arrays_are_refused_with_the_reason(tmp_path, arrays, message):
    np.savez(tmp_path / "d.npz", **arrays)
    with pytest.raises(DataError, match=message):
        read(tmp_path / "d.npz", tmp_path / "a")


def test_a_truncated_archive_is_refused(npz, tmp_path):
    npz.write_bytes(npz.read_bytes()[:-100])
    with pytest.raises(DataError, match="not a readable .npz"):
        read(npz, tmp_path / "a")


def test_a_folder_of_class_folders(tmp_path):
    for label, shade in (("cat", 10), ("dog", 200)):
        (tmp_path / "photos" / label).mkdir(parents=True)
        for index in range(10):
            Image.fromarray(np.full((6, 5), shade, np.uint8)).save(tmp_path / "photos" / label / f"{index}.png")
    found, arrays = read(tmp_path / "photos", tmp_path / "a", "bench")
    assert found.labels == ("cat", "dog")
    assert arrays["x_test"].shape == (20, 6, 5, 1)
    assert {(int(x.max()), int(y)) for x, y in zip(arrays["x_test"], arrays["y_test"], strict=True)} == {(10, 0), (200, 1)}
    Image.fromarray(np.zeros((3, 3), np.uint8)).save(tmp_path / "photos" / "cat" / "small.png")
    with pytest.raises(DataError, match=r"images differ in shape \(\(3, 3, 1\), \(6, 5, 1\)\)"):
        read(tmp_path / "photos", tmp_path / "b")


def test_a_function_and_a_name_that_is_none(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(HERE))
    _, arrays = read("conftest:shapes_for_tests", tmp_path / "a", "bench")
    assert arrays["x_test"].shape == (30, 8, 8, 1)
    with pytest.raises(DataError, match="has no attribute 'nothing'"):
        read("conftest:nothing", tmp_path / "b")
    with pytest.raises(DataError, match="no such data; use mnist_5k, digits, fashion_mnist, cifar10, an .npz file"):
        cache_name("minst", "run", 0)


def test_the_built_in_digits_are_whole(tmp_path):
    found, arrays = read("mnist_5k", tmp_path / "a")
    assert found.labels == ("0", "1", "2", "3", "4", "5", "6", "7", "8", "9")
    assert [len(arrays[f"x_{p}"]) for p in ("train", "validation", "test")] == [3600, 400, 1000]
    assert np.bincount(arrays["y_test"]).tolist() == [100] * 10
    assert arrays["x_train"].shape[1:] == (28, 28, 1)
    assert read("digits", tmp_path / "b")[1]["x_train"].shape == (1439, 8, 8, 1)


def test_classes_have_the_names_that_the_archive_gives(tmp_path):
    arrays = {"x": np.zeros((10, 2)), "y": np.arange(10) % 2}
    np.savez(tmp_path / "d.npz", **arrays, class_names=np.array(["cat", "dog"]))
    assert read(tmp_path / "d.npz", tmp_path / "a")[0].labels == ("cat", "dog")
    np.savez(tmp_path / "e.npz", **arrays, class_names=np.array([1, 2]))
    with pytest.raises(DataError, match="one row of text"):
        read(tmp_path / "e.npz", tmp_path / "b")


def test_every_class_of_the_built_in_data_has_a_name():
    assert set(CLASSES) == set(BUILT_IN)
    assert all(len(set(names)) == 10 for names in CLASSES.values())
