"""Check the built wheel where it is installed: its files, that it imports without a warning, and that the demo runs.

``./run wheel [--smoke]`` builds the wheel into ``dist``, installs it with the extra `demo` into a fresh environment and
calls this with the Python of that environment, in an empty folder. Needs the standard library alone.
"""

import argparse
import email
import json
import os
import subprocess
import sys
import time
from pathlib import Path, PurePosixPath
from zipfile import ZipFile

PACKAGES = ("interdyn", "interdyn_zoo")
KINDS = (".py", ".typed", ".toml", ".css", ".js", ".j2")  # code, types, recipes, and what pages are made of


def differences(sources: set[str], held: set[str]) -> list[str]:
    """Return in words what a wheel lacks of the sources, and what it holds besides them and its own records.

    Examples
    --------
    >>> differences({"interdyn/a.py", "interdyn/page.css"}, {"interdyn/a.py", "tests/test_a.py", "x.dist-info/RECORD"})
    ['the wheel lacks interdyn/page.css', 'the wheel holds tests/test_a.py, which is not in src']
    """
    packed = {name for name in held if not PurePosixPath(name).parts[0].endswith(".dist-info")}
    lacking = [f"the wheel lacks {name}" for name in sorted(sources - packed)]
    return lacking + [f"the wheel holds {name}, which is not in src" for name in sorted(packed - sources)]


def sources_in(folder: Path) -> set[str]:
    """Return the files of the packages below ``folder``, without what Python and Numba have cached there."""
    files = (p for name in PACKAGES for p in (folder / name).rglob("*") if p.is_file() and "__pycache__" not in p.parts)
    return {p.relative_to(folder).as_posix() for p in files}


def check_content(wheel: Path, root: Path) -> str:
    """Return the version of a wheel; ends with what is wrong with its content."""
    with ZipFile(wheel) as opened:
        names = set(opened.namelist())
        info = next(name for name in names if name.endswith(".dist-info/METADATA"))
        about = email.message_from_bytes(opened.read(info))
    sources = sources_in(root / "src")
    wrong = differences(sources, names)
    wrong += [f"no {kind} file is in it" for kind in KINDS if not any(n.endswith(kind) for n in sources)]
    wrong += [f"{name} is no file that belongs in it" for name in sorted(sources) if not name.endswith(KINDS)]
    wrong += [] if info.replace("METADATA", "licenses/LICENSE") in names else ["the licence is not in it"]
    wrong += [] if "demo" in about.get_all("Provides-Extra", []) else ["it has no extra `demo`"]
    if wrong:
        sys.exit(f"{wheel.name}: {'; '.join(wrong)}.")
    print(f"{wheel.name}: {wheel.stat().st_size / 1e6:.2f} MB, {len(sources)} source files, all of them and no others")
    return str(about["Version"])


def done(*command: str) -> str:
    """Run a command and return what it prints; ends with what went wrong."""
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if ran.returncode:
        sys.exit(f"{' '.join(command)} ended with {ran.returncode}:\n{ran.stdout}{ran.stderr}")
    return ran.stdout


def check_installed(version: str) -> None:
    """Check dependencies, imports and the version of what is installed."""
    print(done(sys.executable, "-m", "pip", "check").strip())
    every = (
        "import interdyn, interdyn_zoo; [getattr(interdyn, name) for name in dir(interdyn)]; print(interdyn.__file__)"
    )
    place = done(sys.executable, "-W", "error", "-c", every).strip()
    if not Path(place).is_relative_to(sys.prefix):
        sys.exit(f"the wheel must be what is imported; got {place}.")
    told = done(str(Path(sys.executable).with_name("interdyn")), "--version").strip()
    if told != f"interdyn {version}":
        sys.exit(f"`interdyn --version` must print the version of the wheel, {version}; got {told}.")
    print(f"{told}, imported without a warning")


def check_demo(version: str, *, smoke: bool) -> None:
    """Run the demo in the present folder, and read what it wrote."""
    command, begun = str(Path(sys.executable).with_name("interdyn")), time.perf_counter()
    done(command, "demo", *["--smoke"] * smoke)
    seconds = time.perf_counter() - begun
    run = Path("interdyn-demo")
    summary = json.loads(done(command, "summary", str(run), "--json"))
    if summary["version"] != version:
        sys.exit(f"the run must be of version {version}; got {summary['version']}.")
    page = (run / "report.html").read_text(encoding="utf-8")
    if "</html>" not in page or not list((run / "figures").glob("*.png")):
        sys.exit("the demo must write a whole report.html and figures; got neither or one of them.")
    print(f"the demo{' scaled down' * smoke}: {seconds:.0f} s, with compiling; {summary['verdict'][0]}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", type=Path)
    parser.add_argument("--smoke", action="store_true", help="the demo scaled down")
    arguments = parser.parse_args()
    if os.listdir():  # noqa: PTH208
        sys.exit(f"an empty folder is needed; got {Path.cwd()}.")
    (built,) = (arguments.root / "dist").glob("*.whl")
    found = check_content(built, arguments.root)
    check_installed(found)
    check_demo(found, smoke=arguments.smoke)
