"""The exception for what the user can fix."""


class UserError(Exception):
    """Something that the user can fix.

    Its text is one sentence that says what was wrong, what was expected and what to do. The commands print it in one
    line and exit with status 2; in a notebook or a program it is an ordinary exception.
    """
