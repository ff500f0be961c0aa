"""SIV-GAN (One-Shot GAN) in JAX: new scenes from one picture or one clip.

    import siv_jax
    model = siv_jax.train("photo.jpg", num_steps=20_000)
    pictures = model.sample(16, seed=0)                # uint8 [16, H, W, C]
    model = siv_jax.load("runs/photo")                 # later
    siv_jax.evaluate(model, num=100)["mean"]

Nothing heavy is imported before one of these names is used.
"""

import importlib

__version__ = "0.1.0"

# Where each public name lives. siv_jax.evaluate is that module, which can be called.
_HOMES = {
    "DivergedError": "siv_jax.errors",
    "Model": "siv_jax.api",
    "UserError": "siv_jax.errors",
    "load": "siv_jax.api",
    "train": "siv_jax.api",
}

__all__ = [*sorted(_HOMES), "evaluate"]


def __getattr__(name: str):
    if name == "evaluate":
        return importlib.import_module("siv_jax.evaluate")
    if name not in _HOMES:
        raise AttributeError(f"module 'siv_jax' has no attribute {name!r}; public are {', '.join(__all__)}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
