"""Tests of this project.

    pytest                       these tests
    pytest --nbval notebooks     do the notebooks still give the outputs that were saved in them? (after `nbprod run`)
"""

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
NBPROD = shutil.which("nbprod", path=str(Path(sys.executable).parent)) or "nbprod"


def test_the_pipeline_is_in_order():
    """`nbprod check` compares the pipeline with the notebooks' parameters without running them."""
    checked = subprocess.run([NBPROD, "check"], cwd=ROOT, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr


def test_no_data_without_a_card():
    """Whoever finds a data file here should know where it comes from and what may be done with it."""
    data = [path for path in (ROOT / "data").iterdir() if not path.name.endswith(".card.yaml")]
    missing = [path.name for path in data if not path.with_name(f"{path.name}.card.yaml").exists()]
    assert not missing
