"""A model family outside the package: it learns the picture at two scales, one stage each."""
