"""SIV-GAN (One-Shot GAN) in JAX: new scenes from one picture or one clip."""

__version__ = "0.1.0"
