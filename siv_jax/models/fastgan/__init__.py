"""FastGAN (Liu et al., ICLR 2021): skip-layer excitation and a discriminator that decodes what it has seen."""
