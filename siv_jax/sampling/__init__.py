"""From a trained model to samples and their files."""
