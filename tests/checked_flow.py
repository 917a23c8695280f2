"""The whole path with every annotated shape checked at run time; run by ``test_shapes.py`` in its own interpreter."""

from jaxtyping import TypeCheckError, install_import_hook

with install_import_hook("interdyn", "beartype.beartype"):
    import numpy as np
    import torch

    import interdyn as ix
    from interdyn.game import game_function, scalar_outputs
    from interdyn.measurement import analyse
    from interdyn.spectra import bootstrap_distribution
    from interdyn.theory import falling, row_norm_ratios

generator = torch.Generator().manual_seed(0)
v = torch.randn(2, 3, 16, generator=generator, dtype=torch.float64)
for there, back in (
    (ix.transforms.and_from_values, ix.transforms.values_from_and),
    (ix.transforms.or_from_values, ix.transforms.values_from_or),
):
    assert torch.allclose(back(there(v)), v)
    assert np.allclose(back(there(v.numpy())), v.numpy())
found = ix.sparsify.split(v)
assert ix.sparsify.identified(found[0], strongest=2).strength.low.shape == (3, 4)
assert found[0, 1].i_and.shape == (2, 3)
assert found.to("cpu").i_and.shape == found.i_and.shape
assert ix.sparsify.split(v[0, 0], solver="lp").top(2)
ix.sparsify.split(v[0], solver="sgd-paper", max_iter=5, noise_bound=torch.ones(3, dtype=torch.float64))

network = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(32, 3))
x = torch.randn(4, 1, 6, 6, generator=generator)
players = ix.players.patches(3, 3).choose(5)
on_input = ix.measure(network, x, target=[0, 1, 2, 0], players=players, baselines="mean")
on_map = ix.measure(network, x, target=0, players=ix.players.patches(2, 2), layer="1", merge_order_one=False)
assert on_map.i_and.shape == (4, 16)
rows = torch.randn(4, 3, generator=generator)
by_name = ix.measure(torch.nn.Linear(3, 2), rows, target=0, players=ix.players.columns(), names=list("abc"))
assert by_name[1:].names == ("a", "b", "c")
game = game_function(network, x[:1], target=1, players=ix.players.patches(2, 2))
assert game(np.ones((3, 4), dtype=bool)).shape == (3,)
assert scalar_outputs(torch.randn(5, 3), torch.zeros(5, dtype=torch.long), output="loss").shape == (5,)

spectrum = ix.spectra.order_spectrum(on_input)
assert spectrum.positive.shape == (4, 2, 5)
for normalize in ("sum", "mean"):
    ix.spectra.order_spectrum(on_input, normalize=normalize)
strength = np.stack([spectrum.strength * (1 + k) for k in range(8)])
bootstrap_distribution(strength, n_bootstrap=20)
steps = np.arange(8.0)
losses = np.linspace(2.0, 1.0, 8)
ix.dynamics.find_phases(ix.Trajectory(steps, strength, losses, losses + steps / 10))
ix.theory.fit_noise(on_input, strength, n_bootstrap=20)
assert ix.theory.optimal_weights(v, np.array([0.0, 1.0])).shape == (2, 2, 3, 16)
assert ix.theory.row_norms(5, 0.1).shape == (6,)
assert row_norm_ratios(5, np.array([0.1, 1.0])).shape[0] == 2
falling(losses, steps > 2)
group = {"interactions": [on_input] * 8, "sample_ids": [0, 1, 2, 3]}
analyse(
    steps.tolist(), {"test": group}, train_loss=losses.tolist(), test_loss=losses.tolist(), options={"bootstrap": 100}
)

try:  # the checks are on: a spectrum of the wrong shape is refused by the annotation itself
    ix.Trajectory(steps, strength[0])
except TypeCheckError:
    print("checked")  # noqa: T201  this is how it reports
