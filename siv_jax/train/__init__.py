"""Training: one loop, devices, processes, fleets."""
