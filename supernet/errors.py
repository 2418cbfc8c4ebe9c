"""Errors that a user can mend: one sentence that names the file or key and says what to do."""


class UserError(ValueError):
    """Bad input. The command line prints its message on one line and exits with code 2, without a traceback."""
