"""Differentiable augmentation of images and augmentation of features."""
