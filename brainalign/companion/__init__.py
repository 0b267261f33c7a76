"""From parameters to pages: notebooks are executed, kept, composed and built into a website.

Notebooks themselves need two modules: `parameters` (types of the parameters cell) and `output`
(figures with alt text, recorded numbers, tables).
"""

from pathlib import Path


class WorkError(RuntimeError):
    """Work that failed: one sentence, and where the details are.

    Parameters
    ----------
    sentence : str
        What failed, and how.
    log : pathlib.Path or None
        File with the details.
    status : int
        Exit status of a command that fails with it: 1, or 2 where a notebook refused its input
        (`InputError`), such as a model that the chosen study does not have.
    """

    def __init__(self, sentence: str, log: Path | None = None, status: int = 1):
        super().__init__(sentence, log, status)
        self.sentence = sentence
        self.log = log
        self.status = status

    def __str__(self) -> str:
        return self.sentence
