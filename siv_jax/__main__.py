"""python -m siv_jax: the commands there are."""

COMMANDS = {
    "main": "train on a picture, a clip or a folder of pictures",
    "sample": "draw samples, or walks between them, from a trained model",
    "render": "sharp pictures of any size from a photo's own patches",
    "edit": "harmonize, edit, paint, enlarge, animate, retarget with a trained model",
    "evaluate": "measure samples by the papers' metrics",
    "compare": "put several evaluations side by side",
    "weights": "fetch the networks that the metrics need",
    "demo": "walk between samples in a browser",
    "import_reference": "make a workdir of weights of the original implementation",
}

if __name__ == "__main__":
    print("\n".join(["commands, each with --help:", *(f"  python -m siv_jax.{a:17} {b}" for a, b in COMMANDS.items())]))
