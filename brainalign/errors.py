"""The one exception for input that a person can put right."""


class InputError(ValueError):
    """Input that cannot be used: one sentence that says what was found and what is expected.

    The command line prints the sentence and exits with status 2; nothing is written.
    """
