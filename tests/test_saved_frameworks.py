"""Saved networks of Lightning, transformers, Accelerate, torch.distributed and DeepSpeed, made by themselves."""

import os
from pathlib import Path

import pytest
import torch
from torch import nn

from interdyn.errors import CheckpointError
from interdyn.tracking import find_checkpoints, load_network
from saved_networks import network, part_of, reads


def lightning_module():
    from lightning.pytorch import LightningModule

    class Module(LightningModule):
        def __init__(self, net, rate=0.1, root=Path("/data")):  # noqa: ARG002
            super().__init__()
            self.save_hyperparameters(ignore=["net"])
            self.net, self.loss = net, nn.CrossEntropyLoss(weight=torch.ones(2))

        def training_step(self, batch, _):
            return self.loss(self.net(batch[0]), batch[1])

        def configure_optimizers(self):
            return torch.optim.Adam(self.parameters(), 0.05)

    return Module


def lightning_trained(tmp_path, **options):
    from lightning.pytorch import Trainer

    data = torch.utils.data.TensorDataset(torch.randn(12, 4), torch.arange(12) % 2)
    module = lightning_module()(network())
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}
    trainer = Trainer(default_root_dir=tmp_path, max_steps=6, **quiet, **options)
    trainer.fit(module, torch.utils.data.DataLoader(data, 4))
    return trainer, module


@pytest.mark.filterwarnings("ignore")
def test_lightning_saves_steps_and_hyper_parameters(tmp_path):
    from lightning.pytorch.callbacks import ModelCheckpoint

    saving = ModelCheckpoint(tmp_path / "saved", save_top_k=-1, every_n_train_steps=2, save_last=True)
    _, module = lightning_trained(tmp_path, callbacks=[saving])
    found = find_checkpoints(tmp_path / "saved", network(5))
    assert [one.step for one in found] == [2, 4, 6, None]
    assert {one.source for one in found[:3]} == {"`global_step` in the file"}
    assert "is also that of epoch=1-step=6.ckpt" in found[3].problem
    assert reads(found[2].path, module.net, step=6)


@pytest.mark.filterwarnings("ignore")
def test_lightning_puts_an_average_where_the_weights_were(tmp_path):
    callbacks = pytest.importorskip("lightning.pytorch.callbacks")
    averaging = pytest.importorskip("lightning.pytorch.callbacks.weight_averaging")
    saving = callbacks.ModelCheckpoint(tmp_path / "saved", every_n_train_steps=6)
    trainer, _ = lightning_trained(tmp_path, callbacks=[averaging.EMAWeightAveraging(decay=0.5), saving])
    path = next((tmp_path / "saved").glob("*.ckpt"))
    content = torch.load(path, weights_only=False)
    current = {name[4:]: value for name, value in content["current_model_state"].items() if name.startswith("net.")}
    average = content["state_dict"]["net.0.weight"]
    assert not torch.equal(average, current["0.weight"])
    assert part_of(tmp_path / "saved") == "raw weights `current_model_state.net`"
    net = network(5)
    load_network(path, net)
    assert torch.equal(net[0].weight, current["0.weight"])
    assert trainer.global_step == 6


@pytest.mark.filterwarnings("ignore")
def test_the_trainer_of_hugging_face_saves_folders(tmp_path):
    transformers = pytest.importorskip("transformers")
    config = transformers.BertConfig(
        vocab_size=20,
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=8,
        max_position_embeddings=8,
    )
    rows = [{"input_ids": [1, 2, 3], "labels": k % 2} for k in range(8)]
    model = transformers.BertForSequenceClassification(config)
    arguments = transformers.TrainingArguments(
        str(tmp_path),
        max_steps=4,
        save_steps=2,
        per_device_train_batch_size=4,
        report_to=[],
        use_cpu=True,
        disable_tqdm=True,
    )
    trainer = transformers.Trainer(model, arguments, train_dataset=rows)
    trainer.train()
    trainer.save_model()
    other = transformers.BertForSequenceClassification(config)
    found = find_checkpoints(tmp_path, other)
    assert [(one.path.name, one.step) for one in found[:2]] == [("checkpoint-2", 2), ("checkpoint-4", 4)]
    assert reads(found[1].path, model, into=other, step=4)
    model.save_pretrained(tmp_path / "shards", max_shard_size="1KB")
    assert len(list((tmp_path / "shards").glob("*.safetensors"))) > 2
    other = transformers.BertForSequenceClassification(config)
    assert reads(tmp_path / "shards", model, into=other)
    (tmp_path / "shards" / "model.safetensors.index.json").unlink()
    other = transformers.BertForSequenceClassification(config)
    assert reads(tmp_path / "shards", model, into=other)
    next((tmp_path / "shards").glob("*.safetensors")).unlink()
    with pytest.raises(CheckpointError, match="of its"):
        load_network(tmp_path / "shards", other)


def test_weights_that_transformers_ties_are_on_disk_once(tmp_path):
    transformers = pytest.importorskip("transformers")
    config = transformers.GPT2Config(vocab_size=20, n_positions=8, n_embd=8, n_layer=1, n_head=2)
    model = transformers.GPT2LMHeadModel(config)
    model.save_pretrained(tmp_path / "step_3")
    other = transformers.GPT2LMHeadModel(config)
    assert reads(tmp_path / "step_3", model, into=other)
    assert other.lm_head.weight is other.transformer.wte.weight


def test_accelerate_saves_a_state(tmp_path):
    accelerate = pytest.importorskip("accelerate")
    accelerator = accelerate.Accelerator(cpu=True)
    net = accelerator.prepare(network())
    accelerator.prepare(torch.optim.Adam(net.parameters()))
    accelerator.save_state(str(tmp_path / "checkpoint_9"))
    (found,) = find_checkpoints(tmp_path, network(5))
    assert found.step == 9
    assert reads(found.path, net)


@pytest.fixture
def one_process(monkeypatch):
    import torch.distributed as distributed

    for name, value in {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(20000 + os.getpid() % 20000)}.items():
        monkeypatch.setenv(name, value)
    distributed.init_process_group("gloo", rank=0, world_size=1)
    yield
    distributed.destroy_process_group()


@pytest.mark.filterwarnings("ignore")
def test_checkpoints_of_torch_distributed(tmp_path):
    import torch.distributed.checkpoint as distributed

    net = network()
    adam = torch.optim.Adam(net.parameters())
    net(torch.randn(5, 4)).sum().backward()
    adam.step()
    content = {"model": net.state_dict(), "optim": adam.state_dict(), "step": 12, "seen": torch.tensor(3)}
    distributed.save(content, checkpoint_id=tmp_path / "latest", no_dist=True)
    assert reads(tmp_path / "latest", net, step=12)
    assert part_of(tmp_path) == "raw weights `model`"
    piece = next((tmp_path / "latest").glob("*.distcp"))
    piece.write_bytes(piece.read_bytes()[:-900])
    with pytest.raises(CheckpointError, match="truncated"):
        load_network(tmp_path / "latest", network())


@pytest.mark.filterwarnings("ignore")
@pytest.mark.usefixtures("one_process")
def test_networks_that_are_sharded_by_fsdp(tmp_path):
    import torch.distributed.checkpoint as distributed
    from torch.distributed.fsdp import FullyShardedDataParallel, fully_shard

    mesh = torch.distributed.device_mesh.init_device_mesh("cpu", (1,))
    net = network()
    fully_shard(net[3], mesh=mesh)
    fully_shard(net, mesh=mesh)
    torch.save(net.state_dict(), tmp_path / "step_1.pt")
    distributed.save({"state": {"model": net.state_dict(), "step": 2}}, checkpoint_id=tmp_path / "dcp")
    assert [one.problem for one in find_checkpoints(tmp_path, network())] == ["", ""]
    for path in (tmp_path / "step_1.pt", tmp_path / "dcp"):
        other = network(5)
        load_network(path, other)
        assert all(torch.equal(other.state_dict()[key], value) for key, value in network().state_dict().items())
    wrapped = FullyShardedDataParallel(network(), device_id=torch.device("cpu"), use_orig_params=True)
    torch.save({"model": wrapped.state_dict(), "global_step": 3}, tmp_path / "step_1.pt")
    assert reads(tmp_path / "step_1.pt", network(), step=3)


def as_deepspeed(folder, net, *, stage, count=2, step=6):
    """Write what DeepSpeed 0.19 does; held against files of its own once, as it is large to install."""
    folder.mkdir(parents=True)
    state = {"global_steps": step, "param_shapes": [{n: p.shape for n, p in net.named_parameters()}]}
    state["buffer_names"] = [name for name, _ in net.named_buffers()]
    if stage < 3:
        torch.save(state | {"module": net.state_dict()}, folder / "mp_rank_00_model_states.pt")
        return
    buffers = {name: value for name, value in net.state_dict().items() if name in state["buffer_names"]}
    for rank in range(count):
        pieces = [
            nn.functional.pad(p.detach().flatten(), (0, -p.numel() % count)).chunk(count)[rank]
            for p in net.parameters()
        ]
        flat = {"optimizer_state_dict": {"fp32_flat_groups": [torch.cat(pieces[:2]), torch.cat(pieces[2:])]}}
        empty = {name: torch.empty(0) for name in state["param_shapes"][0]}
        torch.save(state | {"module": empty | buffers}, folder / f"zero_pp_rank_{rank}_mp_rank_00_model_states.pt")
        torch.save(flat, folder / f"zero_pp_rank_{rank}_mp_rank_00_optim_states.pt")


def test_folders_of_deepspeed(tmp_path):
    as_deepspeed(tmp_path / "global_step6", network(), stage=2)
    assert reads(tmp_path / "global_step6", network(), step=6)
    as_deepspeed(tmp_path / "global_step9", network(1), stage=3, step=9)
    assert [one.step for one in find_checkpoints(tmp_path, network())] == [6, 9]
    assert reads(tmp_path / "global_step9", network(1), step=9)
    (tmp_path / "global_step9" / "zero_pp_rank_1_mp_rank_00_optim_states.pt").unlink()
    with pytest.raises(CheckpointError, match="are missing"):
        load_network(tmp_path / "global_step9", network())
    (tmp_path / "global_step6" / "mp_rank_01_model_states.pt").write_bytes(b"")
    with pytest.raises(CheckpointError, match="tensor or pipeline parallelism"):
        load_network(tmp_path / "global_step6", network())
