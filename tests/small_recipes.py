"""Small sections and recipes that tests of recipes and of training share."""

from interdyn.recipes import resolve
from interdyn.recipes._schema import DataSection

TERMS = [
    {"kind": "and", "players": [0, 1], "weight": 2.0},
    {"kind": "or", "players": [1, 2], "weight": -1.0},
    {"kind": "xor", "players": [0, 3], "weight": 0.5},
]


def game_section(**changes):
    options = {"terms": TERMS, "n_players": 4, "draws": 4, "full": 16, "spread": 0.1}
    return DataSection(**{"name": "game", "options": options, "test_fraction": 0.25, **changes})


def small(**training):
    tree = {
        "name": "small",
        "model": {"name": "mlp", "options": {"hidden": [8]}},
        "data": {"name": "digits", "n_train": 50, "label_noise": 0.2},
        "training": {"learning_rate": 0.05, "momentum": 0.9, "epochs": 4, "batch_size": 16, **training},
        "players": {"kind": "patches", "rows": 2, "cols": 2},
    }
    return resolve(tree)
