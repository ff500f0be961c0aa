"""Styles and scripts of the pages, and the page of siv_jax.app, built with Gradio."""
