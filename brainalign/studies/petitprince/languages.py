"""What sets the three languages of *Le Petit Prince* apart: counts of scans and file names."""

from dataclasses import dataclass

#: Stretches of the story; each was one run of the scanner.
N_SECTIONS = 9


@dataclass(frozen=True)
class Language:
    """Facts of one language.

    Attributes
    ----------
    study : str
        Name of the study, "petitprince-en".
    code : str
        "en", as in the names of the published files.
    label : str
        "EN", as in the paths of the corpus.
    n_scans : tuple of int
        Scans of each section in the preprocessed images. English keeps four and French two scans
        after the end of the story; all of them count.
    """

    study: str
    code: str
    label: str
    n_scans: tuple[int, ...]

    @property
    def word_table(self) -> str:
        """End of the path of the word table."""
        return f"/lpp{self.label}_word_information.csv"

    @property
    def mask(self) -> str:
        """Path of the published mask."""
        return f"mask_lpp_{self.code}.nii.gz"

    @property
    def reliability(self) -> str:
        """Path of the published reliability."""
        return f"isc_10trials_{self.code}.gz"

    def average(self, run: int) -> str:
        """Path of the published average listener in one run."""
        return f"lpp_{self.code}_average_subject/average_subject_run-{run}.gz"


#: By the name of the study.
LANGUAGES = {
    language.study: language
    for language in (
        Language("petitprince-en", "en", "EN", (282, 298, 340, 303, 265, 343, 325, 292, 368)),
        Language("petitprince-fr", "fr", "FR", (309, 326, 354, 315, 293, 378, 332, 294, 336)),
        Language("petitprince-cn", "cn", "CN", (283, 322, 322, 307, 293, 392, 364, 293, 401)),
    )
}
