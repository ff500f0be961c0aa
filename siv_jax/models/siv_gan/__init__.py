"""SIV-GAN (One-Shot GAN)."""
