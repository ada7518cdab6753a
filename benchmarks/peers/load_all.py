"""Loads all weights, then saves them in another format: the peer of benchmarks/convert.py.

    python benchmarks/peers/load_all.py {safetensors,orbax,torch} {from-hf,to-hf} SRC DST

What a few lines with the libraries do. From a directory of safetensors into DST: one safetensors
file, an Orbax checkpoint, or a file of `torch.save`; or back. Needs nothing of this project.
"""

import sys
from pathlib import Path

SAFETENSORS = "model.safetensors"
TORCH = "pytorch_model.bin"


def main() -> None:
    library, direction, src, dst = sys.argv[1:]
    convert = {"safetensors": with_safetensors, "orbax": with_orbax, "torch": with_torch}[library]
    convert(direction, Path(src), Path(dst))


def with_safetensors(direction: str, src: Path, dst: Path) -> None:
    import ml_dtypes  # noqa: F401  with it numpy knows bfloat16
    from safetensors.numpy import load_file, save_file

    dst.mkdir()
    save_file(load(load_file, src), dst / SAFETENSORS, {"format": "pt"})


def with_orbax(direction: str, src: Path, dst: Path) -> None:
    import orbax.checkpoint as ocp
    from safetensors.numpy import load_file, save_file

    checkpointer = ocp.PyTreeCheckpointer()
    if direction == "from-hf":
        checkpointer.save(dst, load(load_file, src))
    else:
        dst.mkdir()
        save_file(checkpointer.restore(src), dst / SAFETENSORS, {"format": "pt"})


def with_torch(direction: str, src: Path, dst: Path) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    dst.mkdir()
    if direction == "from-hf":
        torch.save(load(load_file, src), dst / TORCH)
    else:
        tensors = torch.load(src / TORCH, map_location="cpu", weights_only=True)
        save_file(tensors, dst / SAFETENSORS, {"format": "pt"})


def load(load_file, directory: Path) -> dict:
    """All tensors of all the directory's files, by name."""
    files = map(load_file, sorted(directory.glob("*.safetensors")))
    return {name: tensor for tensors in files for name, tensor in tensors.items()}


if __name__ == "__main__":
    main()
