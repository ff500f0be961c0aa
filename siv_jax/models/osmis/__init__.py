"""OSMIS: SIV-GAN for pictures with masks; the generator draws both, and the content branch sees each class alone."""
