"""Every notebook runs from top to bottom in a fresh kernel, and is committed as it was written."""

import os
import re
import sys
import tempfile
from pathlib import Path

import nbformat
import pytest
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

FOLDER = Path(__file__).parent.parent / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
CELL_SECONDS = 300  # not a measure of speed: a kernel that hangs should not hang the tests

# The notebook asks for its devices itself; what this process was told must not reach it.
DEVICE_SETTINGS = ("XLA_FLAGS", "JAX_PLATFORMS", "JAX_NUM_CPU_DEVICES")
MACHINE_PATH = re.compile(r"(?<![\w.])/(?:home|root|tmp|Users|opt|var)/|[A-Z]:\\")
TERMINAL_COLORS = re.compile(r"\x1b\[[0-9;]*m")

each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def execute(path: Path, private: Path) -> None:
    """Runs a notebook as Jupyter would, from its own folder; `private` gets what it writes aside.

    Fails the test with the source of the first cell that raises, and its error.
    """
    env = {name: value for name, value in os.environ.items() if name not in DEVICE_SETTINGS}
    for variable in ("TMPDIR", "IPYTHONDIR"):
        (private / variable).mkdir()
        env[variable] = str(private / variable)
    # A socket's path is limited to some hundred characters, too few for pytest's own folders.
    with tempfile.TemporaryDirectory() as sockets:
        manager = AsyncKernelManager(
            # Of no folder, so that the kernel is this interpreter, whatever is registered or not.
            kernel_spec_manager=KernelSpecManager(kernel_dirs=[]),
            transport="ipc",
            connection_file=f"{sockets}/kernel.json",
        )
        notebook = nbformat.read(path, as_version=4)
        client = NotebookClient(notebook, km=manager, timeout=CELL_SECONDS)
        try:
            client.execute(env=env, cwd=str(path.parent), cleanup_kc=True)
        except CellExecutionError as error:
            pytest.fail(f"{path.name}: {TERMINAL_COLORS.sub('', str(error))}", pytrace=False)


@each_notebook
def test_runs(path, tmp_path):
    before = sorted(FOLDER.iterdir())
    execute(path, tmp_path)
    assert sorted(FOLDER.iterdir()) == before
    assert not list((tmp_path / "TMPDIR").iterdir()), "temporary files are left behind"


@each_notebook
def test_is_committed_without_outputs(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert notebook.metadata.kernelspec.name == "python3"
    for cell in notebook.cells:
        assert not cell.metadata, f"cell {cell.id} has metadata"
        assert not MACHINE_PATH.search(cell.source), f"cell {cell.id} names a place of one machine"
        if cell.cell_type == "code":
            assert cell.execution_count is None, f"cell {cell.id} was saved as executed"
            assert not cell.outputs, f"cell {cell.id} has outputs"


def test_there_are_notebooks():
    assert NOTEBOOKS


def test_a_failing_cell_is_shown_whatever_the_surroundings(tmp_path, monkeypatch):
    """Another kernel under the same name and other devices in the environment change nothing."""
    registered = tmp_path / "jupyter" / "kernels" / "python3"
    registered.mkdir(parents=True)
    (registered / "kernel.json").write_text('{"argv": ["false"], "display_name": "Broken"}')
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    monkeypatch.setenv("XLA_FLAGS", "--xla_force_host_platform_device_count=3")
    sources = (
        f"import sys\nassert sys.executable == {sys.executable!r}",
        "import jax\nfrom biomatrix_jax.sharding.mesh import simulate_cpu_devices",
        "simulate_cpu_devices(8)\nassert jax.device_count() == 8",
        "numerator = 1\nnumerator / 0",
    )
    path = tmp_path / "failing.ipynb"
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    with pytest.raises(pytest.fail.Exception) as failure:
        execute(path, tmp_path)
    message = str(failure.value)
    assert message.startswith("failing.ipynb: ")
    assert sources[-1] in message
    assert "ZeroDivisionError: division by zero" in message
    assert "\x1b" not in message
