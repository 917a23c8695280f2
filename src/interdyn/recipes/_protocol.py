"""The paper's settings as recipe options: ``protocol = "paper"``."""

from collections.abc import Mapping
from typing import Any

from interdyn.errors import RecipeError

_ALWAYS = {
    "players.n": 10,
    "players.others": "keep",
    "players.fewer": None,
    "measure.test_samples": 50,
    "measure.mislabelled_samples": 0,
    "measure.output": "log-odds",
    "measure.noise_bound": 0.02,
    "measure.order_weight": 0.0,
    "analysis.salience": 0.03,
    "analysis.salience_rule": "mean-effect",
}
_LAYER = {
    **dict.fromkeys(("vgg-small", "vgg11", "vgg13", "vgg16"), "features.relu2"),
    "alexnet": "features.relu1",
}
_BY_KIND: Mapping[str, Mapping[str, Any]] = {
    "patches": {"players.rows": 8, "players.cols": 8, "players.central": [6, 6], "measure.baseline": 0.0},
    "parts": {"measure.baseline": "mask"},
    "clusters": {"players.count": 30, "measure.baseline": "part-mean"},
}


def paper_options(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Return the dotted keys that the paper's protocol sets in a recipe.

    Ten players of each of 50 test samples; the residual bounded by 0.02 of ``|v(N) - v({})|``, without order weights;
    salience 0.03 of its mean. Images: 8x8 cells of the feature map after the second ReLU of a VGG, the first of an
    AlexNet, the named layer of another network; the central 6x6 can be players, masked to 0. Sentences: the words,
    masked by [MASK]. Point clouds: 30 clusters, moved to their centres. In every protocol, the theory's threshold is
    the sample's own, and AND and OR interactions of single players are merged.

    Raises
    ------
    RecipeError
        If the paper has no protocol for such players, or images are to be masked for a network that is not in the
        paper without naming a layer.

    Notes
    -----
    Source: paper, section 5 and its appendix on experiments; ``docs/explanation/fidelity.md`` lists where it is silent.

    Examples
    --------
    >>> paper_options({"players": {"kind": "parts"}})["measure.baseline"]
    'mask'
    """
    kind = tree.get("players", {}).get("kind")
    if kind not in _BY_KIND:
        raise RecipeError(
            f'`protocol = "paper"` needs players that the paper uses: {", ".join(_BY_KIND)}; got {kind!r}. '
            "Leave the protocol out."
        )
    options = {**_ALWAYS, **_BY_KIND[kind]}
    if kind != "patches":
        return options
    network, named = tree.get("model", {}).get("name"), tree.get("measure", {}).get("layer")
    if network not in _LAYER and not named:
        raise RecipeError(
            f'`protocol = "paper"` masks a feature map of images and needs its layer for the network {network!r}; '
            "got none. Name it, for example: --set measure.layer=features.relu2"
        )
    return {**options, "measure.layer": _LAYER.get(network, named)}
