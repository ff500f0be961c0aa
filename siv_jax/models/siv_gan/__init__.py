"""SIV-GAN (One-Shot GAN): a generator against a discriminator with a content and a layout branch."""
