"""New scenes from one picture or one clip, in JAX.

    import siv_jax
    model = siv_jax.train("photo.jpg", num_steps=20_000)
    pictures = model.sample(16, seed=0)                # uint8 [16, H, W, C]
    large = model.render(4, size="photo")              # the same, sharp, at the photo's size
    model = siv_jax.load("runs/photo")                 # later
    siv_jax.evaluate(model, num=100)["mean"]

Nothing heavy is imported before one of these names is used.
"""

import importlib

__version__ = "0.3.0"

# Where each public name lives.
_HOMES = {
    "DivergedError": "siv_jax.errors",
    "Model": "siv_jax.api",
    "UserError": "siv_jax.errors",
    "load": "siv_jax.api",
}
# Modules of this package that can be called: as such they have their names whatever is imported first.
_CALLABLE = ("evaluate", "train")

__all__ = [*sorted(_HOMES), *_CALLABLE]


def __getattr__(name: str):
    if name in _CALLABLE:
        return importlib.import_module(f"siv_jax.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module 'siv_jax' has no attribute {name!r}; public are {', '.join(__all__)}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
