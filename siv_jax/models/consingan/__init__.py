"""ConSinGAN: one generator that grows by a block of convolutions per stage (Hinz et al., WACV 2021)."""
