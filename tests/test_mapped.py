import ml_dtypes
import numpy as np
import pytest

from biomatrix_jax.mapped import map_array


@pytest.mark.parametrize("dtype", [np.float32, np.float16, ml_dtypes.bfloat16])
def test_any_place_and_stride(tmp_path, dtype):
    dtype = np.dtype(dtype)
    whole = np.arange(60).astype(dtype)
    path = tmp_path / "x"
    path.write_bytes(b"odd" + whole.tobytes())  # elements need not be aligned
    size = dtype.itemsize
    array = map_array(path, dtype, (3, 4), 3 + 5 * size)
    assert array.tolist() == whole[5:17].reshape(3, 4).tolist()
    array = map_array(path, dtype, (3, 4), 3 + 5 * size, (size, 15 * size))
    assert array.tolist() == np.stack([whole[i : i + 50 : 15] for i in (5, 6, 7)]).tolist()
    assert array.tobytes() == np.ascontiguousarray(array).tobytes()
    assert not array.flags.writeable
    assert map_array(path, dtype, (), 3 + 2 * size) == 2
    assert map_array(path, dtype, (2, 0), 10**9).shape == (2, 0)
    last = map_array(path, dtype, (2, 2), 3, (57 * size, 2 * size))
    assert last.tolist() == [[0, 2], [57, 59]]


@pytest.mark.parametrize("strides", [None, (4, 8)])
def test_nothing_beyond_the_end(tmp_path, strides):
    path = tmp_path / "x"
    path.write_bytes(bytes(16))
    with pytest.raises(ValueError, match="mmap"):
        map_array(path, np.dtype("f4"), (2, 2), 4, strides)
