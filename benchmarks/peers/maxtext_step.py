"""MaxText's own train_compile, its program kept: the peer of benchmarks/maxtext_compile.py.

    python benchmarks/peers/maxtext_step.py FOLDER key=value ...

The keys are MaxText's. Writes what the compiler says into FOLDER. Needs MaxText and libtpu, and
nothing of this project but the file beside it.
"""

import sys
from pathlib import Path

import compiled_step
from absl import app
from maxtext.trainers.pre_train import train_compile


def main() -> None:
    folder, *keys = sys.argv[1:]
    compile_step = train_compile.jit_and_compile

    def measured(*args, **kwargs):
        with compiled_step.timed() as seconds:
            compiled = compile_step(*args, **kwargs)
        packages = ("maxtext", "jax", "libtpu", "flax")
        compiled_step.keep(compiled, seconds, Path(folder), packages)
        return compiled

    train_compile.jit_and_compile = measured
    app.run(train_compile.main, argv=["train_compile", *keys])


if __name__ == "__main__":
    main()
