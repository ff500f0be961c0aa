"""A generator of several scales against a discriminator with a content and a layout branch: what such models share."""
