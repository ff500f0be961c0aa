"""How good and how diverse samples are."""
