"""For tests and docstring examples alike: Keras reads its backend when it is imported, and nothing calls home."""

import os

os.environ.setdefault("KERAS_BACKEND", "torch")
for name, value in {"WANDB_MODE": "offline", "WANDB_ERROR_REPORTING": "false", "DO_NOT_TRACK": "true"}.items():
    os.environ[name] = value
