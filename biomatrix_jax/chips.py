"""What accelerators can do, as their makers publish it.

TPUs: cloud.google.com/tpu/docs (v2 to v6e, tpu7x: "key chip specifications"); v2, v3 and v4i from
Jouppi et al., CACM 63(7), 2020 and ISCA 2021. The interconnect is published as Gbit/s of all links
of a chip in one direction, or as GB/s of both directions together; the data centre network as
Gbit/s of a chip, or of the 256 chips of a pod. GPUs: the data sheets of NVIDIA's A100, H100, H200,
GH200, B200 and GB200, with the network card that a DGX has for each GPU (200 Gbit/s beside A100,
400 beside the others).
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Chip:
    """One JAX device; of a TPU v2, v3 or 7x that is one of a chip's two cores, with half of all."""

    name: str
    bf16_flops: float  # FLOP/s of dense bfloat16 products, without sparsity
    hbm_bytes: float
    hbm_bytes_per_second: float
    link_bytes_per_second: float  # one link to a neighbour, or all to a switch; one direction
    network_bytes_per_second: float | None  # between slices or nodes, one direction; None: unknown
    torus: int = 0  # dimensions of the interconnect, two links each; 0: a switch joins a node
    ring: int = 0  # a dimension of a multiple of so many chips has its ends joined
    usable_bytes: float | None = None  # of its memory, that a program may take


_GB, _GIB, _TERA = 1e9, 2**30, 1e12


def _tpu(name, tera, gib, hbm, link, torus, ring, network=None, usable=None) -> Chip:
    network, usable = network and network * _GB, usable and usable * _GIB
    links = {"torus": torus, "ring": ring, "usable_bytes": usable}
    return Chip(name, tera * _TERA, gib * _GIB, hbm * _GB, link * _GB, network, **links)


def _gpu(name, tera, gb, hbm, nvlink, network) -> Chip:
    return Chip(name, tera * _TERA, gb * _GB, hbm * _GB, nvlink * _GB, network * _GB)


# By a part of `device_kind`; the first that fits counts. GB/s but for FLOP/s (tera) and memory.
# Usable is what libtpu 0.0.42 names as available when a program does not fit, in GiB.
_CHIPS = {
    "TPU v2": _tpu("v2", 22.5, 8, 350, 31, 2, 16),
    "TPU v3": _tpu("v3", 61.5, 16, 450, 41, 2, 32),
    "TPU v4 lite": _tpu("v4i", 138, 8, 614, 50, 1, 4),
    "TPU v4": _tpu("v4", 275, 32, 1228, 50, 3, 4),
    "TPU v5 lite": _tpu("v5e", 197, 16, 819, 50, 2, 16, 3.125, usable=15.75),
    "TPU v5e": _tpu("v5e", 197, 16, 819, 50, 2, 16, 3.125, usable=15.75),
    # v5p, which JAX has called both "TPU v5" and "TPU v5p"; its 95 GB are what programs may take.
    "TPU v5": _tpu("v5p", 459, 96, 2765, 100, 3, 4, 6.25, usable=95.74),
    "TPU v6": _tpu("v6e", 918, 32, 1640, 100, 2, 16, 12.5, usable=31.25),
    "TPU7x": _tpu("7x", 1153.5, 96, 3690, 50, 3, 4, usable=94.75),
    "A100-PCIE-40GB": _gpu("A100 40GB", 312, 40, 1555, 300, 25),
    "A100-SXM4-40GB": _gpu("A100 40GB", 312, 40, 1555, 300, 25),
    "A100 80GB PCIe": _gpu("A100 PCIe", 312, 80, 1935, 300, 25),
    "A100": _gpu("A100", 312, 80, 2039, 300, 25),
    "H100 PCIe": _gpu("H100 PCIe", 756, 80, 2000, 300, 50),
    "H100 NVL": _gpu("H100 NVL", 835, 94, 3938, 300, 50),
    "H100": _gpu("H100", 989, 80, 3350, 450, 50),
    "GH200 144G": _gpu("GH200 144GB", 989, 144, 4900, 450, 50),
    "GH200": _gpu("GH200", 989, 96, 4000, 450, 50),
    "H200 NVL": _gpu("H200 NVL", 835, 141, 4800, 450, 50),
    "H200": _gpu("H200", 989, 141, 4800, 450, 50),
    "GB200": _gpu("GB200", 2500, 186, 8000, 900, 50),
    "B200": _gpu("B200", 2250, 180, 8000, 900, 50),
}


def find_chip(device_kind: str) -> Chip | None:
    """The chip that JAX calls `device_kind`; None where its figures are not known here, as those of
    a part of a GPU (MIG)."""
    if "MIG" in device_kind.split():
        return None
    return next((chip for kind, chip in _CHIPS.items() if kind in device_kind), None)
