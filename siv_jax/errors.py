"""The two ways a command ends badly, each with its exit code and one clear line."""


class UserError(Exception):
    """Input that cannot be used: says what is wrong, where, and what to do. Commands exit with 2."""

    exit_code = 2


class DivergedError(Exception):
    """Training produced a non-finite loss; the last good checkpoint is kept. Commands exit with 3."""

    exit_code = 3
