"""The evaluation as one HTML file that needs nothing beside itself."""
