import jax
import pytest
from jax.sharding import AxisType

from biomatrix_jax.config import MeshConfig
from biomatrix_jax.errors import BadInput
from biomatrix_jax.sharding import make_mesh


def test_minus_one_takes_what_is_left():
    mesh = make_mesh(MeshConfig(data=2, fsdp=-1, tensor=2))
    assert dict(mesh.shape) == {"slice": 1, "data": 2, "fsdp": 2, "context": 1, "tensor": 2}
    assert set(mesh.axis_types) == {AxisType.Auto}


def test_every_device_is_used_once_and_tensor_is_innermost():
    mesh = make_mesh(MeshConfig(fsdp=4, tensor=2))
    assert [d.id for d in mesh.devices.flat] == [d.id for d in jax.devices()]


def test_a_part_of_the_devices_can_be_given():
    assert make_mesh(MeshConfig(), jax.devices()[:1]).size == 1


@pytest.mark.parametrize("config", [MeshConfig(fsdp=2, tensor=2), MeshConfig(fsdp=-1, tensor=3)])
def test_sizes_that_do_not_multiply_out_are_refused(config):
    with pytest.raises(BadInput, match=rf"tensor={config.tensor} needs .*there are 8") as error:
        make_mesh(config)
    assert "\n" not in str(error.value)
