"""SinGAN (Rott Shaham, Dekel and Michaeli, ICCV 2019): a pyramid of small GANs, trained from coarse to fine."""
