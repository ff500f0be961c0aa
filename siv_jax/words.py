"""Numbers in sentences for people."""


def counted(count: int, noun: str) -> str:
    """ "1 sample", "2 samples"."""
    return f"{count} {noun}{'s' * (count != 1)}"
