"""Imported first by scripts in `benchmarks/`: the `workflows.py` there is not our `workflows`.

Python looks for modules beside a script before anywhere else.
"""

import sys
from pathlib import Path

BESIDE = str(Path(__file__).parents[1])

sys.path[:] = [entry for entry in sys.path if entry != BESIDE]
