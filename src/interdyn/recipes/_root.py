"""Where data sets lie that no package ships: the folder named by INTERDYN_DATA."""

import os
from pathlib import Path

from interdyn.errors import DataError


def find_data(name: str, *files: str, source: str) -> tuple[Path, ...]:
    """Return the paths of a data set's files under the folder named by ``INTERDYN_DATA``.

    Raises
    ------
    DataError
        If the variable is not set or a file is missing; names all files and where to get the set.
    """
    root = os.environ.get("INTERDYN_DATA")
    expected = (
        f"{', '.join(files)} under the folder named by INTERDYN_DATA (or --data-root). Get the set from {source}."
    )
    if not root:
        raise DataError(f"the data `{name}` are in no package; got no INTERDYN_DATA. Needed: {expected}")
    paths = tuple(Path(root) / file for file in files)
    missing = [path for path in paths if not path.is_file()]
    if missing:
        raise DataError(f"the data `{name}` need all their files; got no {missing[0]}. Needed: {expected}")
    return paths
