"""The oldest of everything that pyproject.toml allows, for pip:  pip install $(python .ci/minimums.py) -e ."""

import pathlib
import tomllib

EXTRAS = ("plot", "bpe", "hub", "test")  # those that need no GPU

project = tomllib.loads(pathlib.Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
asked = [*project["dependencies"]]
for extra in EXTRAS:
    asked += project["optional-dependencies"][extra]
for requirement in asked:
    if not requirement.startswith(project["name"]):  # which is how one extra includes others
        name, least = requirement.split(">=")  # an error for what has no minimum
        print(f"{name}=={least}")
