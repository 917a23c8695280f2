"""Shapes written in annotations are true: the whole path runs with every one of them checked."""

import subprocess
import sys
from pathlib import Path


def test_annotated_shapes_hold_along_the_whole_path():
    script = Path(__file__).with_name("checked_flow.py")
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.strip() == "checked"
