"""Runs killed at every write and files damaged in every way, a few; `benchmarks/stress_folder.py` does hundreds."""

import subprocess
import sys
from pathlib import Path

import pytest

import stress_folder

SCRIPT = Path(stress_folder.__file__)


def test_runs_killed_before_and_after_each_write_end_with_the_same_numbers_and_files():
    """In a process of its own: one that has threads does not fork well."""
    arguments = ["--kills", "4", "--damaged", "0", "--mended", "0"]
    done = subprocess.run([sys.executable, str(SCRIPT), *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("2 kills; 0 runs differ.") == 2


@pytest.mark.parametrize("kind", sorted(stress_folder.RUNS))
def test_a_damaged_file_is_read_right_or_told_in_our_words(tmp_path, kind):
    came, wrong = stress_folder.damage(kind, tmp_path, count=40, seed=11)
    assert wrong == []
    assert came.total() == 40


@pytest.mark.parametrize("kind", sorted(stress_folder.RUNS))
def test_a_damaged_run_that_is_begun_again_ends_with_the_same_numbers(tmp_path, kind):
    assert stress_folder.mended(kind, tmp_path, count=4, seed=3) == []
