"""From parameters to pages: notebooks are executed, kept, composed and built into a website.

Notebooks themselves need two modules: `parameters` (types of the parameters cell) and `output`
(figures with alt text, recorded numbers, tables).
"""

from pathlib import Path


class WorkError(RuntimeError):
    """Work that failed though its input was right: one sentence, and where the details are.

    Parameters
    ----------
    sentence : str
        What failed, and how.
    log : pathlib.Path or None
        File with the details.
    """

    def __init__(self, sentence: str, log: Path | None = None):
        super().__init__(sentence, log)
        self.sentence = sentence
        self.log = log

    def __str__(self) -> str:
        return self.sentence
