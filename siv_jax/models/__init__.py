"""The generator and the two-branch discriminator."""
