"""What a person at the terminal did not expect, in one line."""


class OperatorError(Exception):
    """The command cannot go on; the text is one line that says what is wrong and what to do about it."""
