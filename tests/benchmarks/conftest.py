"""The benchmarks are scripts beside the package, not part of it; from here on they can be imported."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))
