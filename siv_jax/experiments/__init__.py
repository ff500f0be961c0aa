"""Tables of experiments: models times pictures, trained and measured under one frozen protocol."""
