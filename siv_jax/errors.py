"""The two ways a command ends badly, each with its exit code and one clear line, and what other exceptions say."""


class UserError(Exception):
    """Input that cannot be used: says what is wrong, where, and what to do. Commands exit with 2."""

    exit_code = 2


class DivergedError(Exception):
    """Training produced a non-finite loss; the last good checkpoint is kept. Commands exit with 3."""

    exit_code = 3


def complaint(error: Exception) -> str:
    """In one line what an exception says, of one of pydantic the first key that it complains of and why."""
    import pydantic  # which takes a while: commands answer wrong flags without it

    if not isinstance(error, pydantic.ValidationError):
        return " ".join(str(error).split())
    first = error.errors()[0]
    key, said = ".".join(map(str, first["loc"])), " ".join(first["msg"].removeprefix("Value error, ").split())
    return f"{key}: {said}" if key else said
