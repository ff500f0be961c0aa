"""The latent browser."""
