"""The version of this distribution: the one place that says it; ``pyproject.toml`` and every run read it here."""

VERSION = "0.2.0"
