"""The results of a run as they are on disk."""

import json


def summary_of(run):
    return _read(run, "summary.json")


def analysis_of(run):
    return _read(run, "analysis.json")


def write_results(run, *, summary, analysis):
    for name, content in (("analysis.json", analysis), ("summary.json", summary)):
        (run.path / name).write_text(json.dumps(content), encoding="utf-8")


def _read(run, name):
    content = json.loads((getattr(run, "path", run) / name).read_text(encoding="utf-8"))
    return {key: value for key, value in content.items() if key not in ("digest", "file")}
