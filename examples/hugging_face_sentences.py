"""The callback of the Hugging Face Trainer: a small BERT learns which generated reviews are positive.

For your own sentences, `interdyn.players.words` finds the words and their tokens. Here each token is a word and a
player.
"""

import torch
from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments, set_seed

import interdyn as ix
from interdyn.tracking.hugging_face import TrackerCallback

GOOD, BAD, MASK, VOCABULARY, WORDS = 10, 20, 2, 40, 7


def reviews(count, seed):
    """Return sentences of neutral words with one of ten good or one of ten bad words, and their labels."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(30, VOCABULARY, (count, WORDS), generator=generator)
    good = torch.randint(2, (count,), generator=generator)
    place, word = torch.randint(WORDS, (count,), generator=generator), torch.randint(10, (count,), generator=generator)
    ids[torch.arange(count), place] = torch.where(good == 1, GOOD, BAD) + word
    return ids, good


set_seed(0)
train, test = reviews(400, seed=1), reviews(100, seed=2)
sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
model = BertForSequenceClassification(BertConfig(vocab_size=VOCABULARY, num_labels=2, **sizes))
tracker = ix.Tracker(
    (test[0][:12], test[1][:12]),
    feature_mask=torch.arange(WORDS).expand(12, WORDS),
    baselines=MASK,
    schedule=ix.schedules.log_spaced(5),
    stop_when="harm",
    names=lambda ids: [f"word {token}" for token in ids],
    out="runs/hugging_face_sentences",
    budget=None,
)
settings = TrainingArguments(
    output_dir="runs/hugging_face_sentences_trainer",
    num_train_epochs=3,
    per_device_train_batch_size=20,
    learning_rate=5e-3,
    eval_strategy="steps",
    eval_steps=10,
    logging_steps=10,
    save_strategy="no",
    report_to=[],
    disable_tqdm=True,
    use_cpu=True,
    log_level="error",
)
sets = [
    [{"input_ids": i, "labels": label} for i, label in zip(ids, labels, strict=True)] for ids, labels in (train, test)
]
trainer = Trainer(model, settings, train_dataset=sets[0], eval_dataset=sets[1], callbacks=[TrackerCallback(tracker)])
trainer.train()

print(tracker.verdict.sentence)
seen = [row for row in trainer.state.log_history if "interactions/phase" in row]
print("mean order:", {row["step"]: round(row.get("interactions/mean_order", 0.0), 2) for row in seen})
