"""The models, data sets and recipes that come with interdyn, registered like those of a third-party provider.

Importing this package registers what every file of ``models`` and ``data`` has under ``@model("name")`` or
``@dataset("name")``; ``library`` contains the recipes.
"""

from importlib import import_module
from pkgutil import walk_packages

for _module in walk_packages(__path__, f"{__name__}."):
    import_module(_module.name)
