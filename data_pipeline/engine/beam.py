"""Tasks on an Apache Beam runner: Direct on this machine; Dataflow, Flink or Spark on many.

The machines must reach recipe, tokenizers, inputs and output by the same paths, on a file system
that they share.
"""

import contextlib
import logging
import re
from collections.abc import Sequence

from biomatrix_jax.errors import BadInput
from data_pipeline.engine import Done, Engine, Work
from data_pipeline.tasks import Assigned


def beam(arguments: Sequence[str]) -> Engine:
    """An engine of the runner that Beam's own flags choose: `--runner=FlinkRunner ...`."""

    def run(work: Work, tasks: Sequence[Assigned], done: Done) -> None:
        if not tasks:
            return
        with _one_line():
            import apache_beam
            from apache_beam.options.pipeline_options import PipelineOptions

            options = PipelineOptions(list(arguments))
            with apache_beam.Pipeline(options=options) as pipeline:
                # Without the reshuffle a runner would fuse all tasks into one piece of work.
                _ = (
                    pipeline
                    | "tasks" >> apache_beam.Create(tasks)
                    | "spread" >> apache_beam.Reshuffle()
                    | "work" >> apache_beam.Map(work)
                )
        for task in tasks:
            done(task)

    return run


@contextlib.contextmanager
def _one_line():
    """What a task refuses comes back from a runner as text within a traceback."""
    logger = logging.getLogger("apache_beam")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    except ImportError as error:
        raise BadInput(
            f"--runner needs Apache Beam ({error}): pip install 'biomatrix-jax[beam]'"
        ) from None
    except Exception as error:
        for name in _names(BadInput):  # or of a kind of it
            if found := re.search(rf"\b{name}: (.+?)(?: \[while running|\n|$)", _whole(error)):
                raise BadInput(found[1]) from None
        raise
    finally:
        logger.setLevel(before)


def _names(kind: type) -> list[str]:
    return [kind.__name__, *(name for below in kind.__subclasses__() for name in _names(below))]


def _whole(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
