"""InGAN (Shocher et al., ICCV 2019): a picture at any other size and shape, its elements at their own size."""
