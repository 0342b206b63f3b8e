from toolchain.measure.size import size


def test_zeros_show_in_the_compressed_size_only(tmp_path):
    (tmp_path / "zeros").write_bytes(bytes(10_000))
    found = size(tmp_path / "zeros")
    assert found.raw == 10_000
    assert found.gzip < 60
    assert found.zstd < 60


def test_a_folder_is_the_sum_of_its_files(tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "a").write_bytes(b"12345")
    (tmp_path / "deep" / "b").write_bytes(b"123")
    assert size(tmp_path).raw == 8
