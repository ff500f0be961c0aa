"""Rendering: a rough, small picture becomes a sharp one of any size, made of a photo's own patches."""
