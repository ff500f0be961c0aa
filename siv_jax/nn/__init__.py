"""What several models use: convolutions, spectral norm, augmentation of images, flat parameter vectors."""
