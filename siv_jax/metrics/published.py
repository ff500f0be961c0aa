"""The papers' rows, to stand beside a run's, and how far they compare.

SIV-GAN (CVIU 2024), Tables 1 and 2; "Places" are SinGAN's 50 images, "DY" 15 middle frames or videos of
DAVIS-YFCC100M.
"""

IMAGE_KEYS = ("sifid_64_best", "sifid_64", "sifid_768", "lpips_diversity", "pixel_diversity", "distance_to_train")
IMAGE_ROWS = {
    "SinGAN, Places": (0.09, 0.15, 25.33, 0.22, 0.52, 0.24),
    "ConSinGAN, Places": (0.06, 0.08, 23.45, 0.24, 0.50, 0.25),
    "FastGAN, Places": (0.11, 0.14, 16.52, 0.15, 0.48, 0.08),
    "SIV-GAN, Places": (0.05, 0.06, 12.12, 0.28, 0.57, 0.31),
    "SinGAN, DY": (0.10, 0.13, 34.52, 0.26, 0.54, 0.30),
    "ConSinGAN, DY": (0.08, 0.09, 27.33, 0.29, 0.59, 0.31),
    "FastGAN, DY": (0.10, 0.13, 19.48, 0.18, 0.49, 0.11),
    "SIV-GAN, DY": (0.07, 0.08, 16.30, 0.33, 0.66, 0.37),
}

VIDEO_KEYS = ("sifid_64", "sifid_768", "lpips_diversity", "distance_to_train")
VIDEO_ROWS = {
    "SinGAN, DY": (2.47, 96.35, 0.32, 0.51),
    "ConSinGAN, DY": (2.74, 74.50, 0.34, 0.53),
    "FastGAN, DY": (0.79, 9.24, 0.43, 0.13),
    "SIV-GAN, DY": (0.55, 5.14, 0.43, 0.34),
}

CAVEAT = (
    "The papers' SIFID used other Inception weights and is not comparable in absolute value: with these (FID-2015), "
    "the authors' own published samples come out 3.6 to 6.2 times as high at 64-d, in the same ranking, and of the "
    "published magnitude at 768-d, which hardly separates models. Pictures of 64 pixels and short runs give values a "
    "hundred times as high. LPIPS falls with the size of the pictures (.30 at "
    "250 pixels, .17 at 128, .08 at 64 for the same samples). Only numbers made by one implementation at one size "
    "stand in one table; SIFID alone rewards copying, so it is read together with diversity and distance to train."
)
VIDEO_CAVEAT = (
    "The paper does not say how it pairs a video's samples with its frames: here SIFID is the mean over all pairs, "
    "and the set FID compares all samples with all frames at once."
)
