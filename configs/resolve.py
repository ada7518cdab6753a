"""Writes resolved/ here, in pods/ and in recipes/: what is shipped, all its values spelled out.

It is committed, so that a change of a default shows which runs and data it changes. After a change
to a configuration, a recipe or a default run: make configs
"""

from pathlib import Path

from biomatrix_jax import config
from biomatrix_jax.files import atomic_file
from data_pipeline import recipe

CONFIGS = Path(__file__).parent


def main() -> None:
    runs, recipes = (CONFIGS, CONFIGS / "pods"), (CONFIGS / "recipes",)
    for folder, load in [(f, config.load) for f in runs] + [(f, recipe.load) for f in recipes]:
        for path in sorted(folder.glob("*.yaml")):
            with atomic_file(folder / "resolved" / path.name, "w") as file:
                file.write(config.dump(load(path)))


if __name__ == "__main__":
    main()
