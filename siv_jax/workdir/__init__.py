"""The folder of a run: what lies where, checkpoints, logs."""
