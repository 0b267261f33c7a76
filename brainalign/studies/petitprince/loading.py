"""Words, geometry and responses of one language put together."""

from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from brainalign.errors import InputError
from brainalign.files import digest, source_digest
from brainalign.studies.grid import Grid
from brainalign.studies.images import read_mask, voxel_table
from brainalign.studies.options import make_config
from brainalign.studies.petitprince.languages import LANGUAGES, Language
from brainalign.studies.petitprince.published import read_average, read_reliability
from brainalign.studies.petitprince.text import section_texts, text_digest
from brainalign.studies.petitprince.words import read_words
from brainalign.studies.preparation import (
    Preparation,
    RunImage,
    identity,
    mask_image,
    narrowed,
    only_prepared,
    require_prepared,
    responses,
)
from brainalign.studies.registry import (
    data_files,
    local_path,
    optional_files,
    response_files,
    subject_names,
    terms,
    verified_path,
    verified_paths,
)
from brainalign.study import Run, Study

SOURCES = (
    "archives",
    "study",
    "studies/arrays",
    "studies/images",
    "studies/petitprince",
    "studies/preparation",
    "studies/registry",
    "studies/texts",
    "words",
)

TR = 2.0
#: Scans at the start and the end of each run that the paper leaves out.
TRIM = (10, 10)
#: Grid of 4 mm on which mask, regions and responses are.
GRID = Grid()


@dataclass(frozen=True)
class PetitPrinceConfig:
    """Whose responses, in which voxels, and to which text.

    Attributes
    ----------
    responses : str
        "published" for the paper's average listener; "openneuro" for the listeners whose images
        `brainalign prepare` has prepared.
    subjects : tuple of str
        Some of these listeners; all of them where it is empty.
    text : str or None
        Folder or zip file with the user's own copy of the book's text, one file per section; None
        joins the words.
    mask : str
        "published"; "common" for the voxels that are brain in most runs of the listeners; "own"
        for those of one listener alone.
    smoothing : float or None
        Of single listeners' images: full width at half maximum in mm; the paper took 4 for
        individuals.
    onset_shift : float
        Seconds added to the times of all words.
    """

    responses: Literal["published", "openneuro"] = "published"
    subjects: tuple[str, ...] = ()
    text: str | None = None
    mask: Literal["published", "common", "own"] = "published"
    smoothing: float | None = None
    onset_shift: float = 0.0

    def __post_init__(self):
        changed = {
            "subjects": bool(self.subjects),
            "mask": self.mask != "published",
            "smoothing": self.smoothing is not None,
        }
        wrong = [name for name, is_changed in changed.items() if is_changed]
        if self.responses == "published" and wrong:
            raise InputError(
                f"{wrong[0]} is {getattr(self, wrong[0])!r} with responses 'published', an average "
                "listener in its own mask; responses 'openneuro' is expected."
            )
        if self.mask == "own" and len(self.subjects) != 1:
            raise InputError(
                f"mask is 'own', that of one listener, with {len(self.subjects)} subjects named; one "
                "is expected, as in `-p subjects=EN057`."
            )


def configure(study: str, **options) -> PetitPrinceConfig:
    """Configuration with some values changed.

    Raises
    ------
    InputError
        For an option that the study does not have, a value of another type, and values that do not
        go together.
    """
    if isinstance(options.get("subjects"), str):
        options["subjects"] = (options["subjects"],)
    return make_config(PetitPrinceConfig, study, options)


def fingerprint(study: str, **options) -> str:
    """Identity of the study that `load` would make; of all files a text and a mask are read."""
    config = configure(study, **options)
    files = [*data_files(study), *optional_files(study)]
    prepared = _prepared(study, config) if config.responses == "openneuro" else None
    chosen = asdict(config) | {"text": text_digest(config.text)}
    checksums = [file.checksum for file in files]
    images = prepared and identity(prepared)
    n_scans = LANGUAGES[study].n_scans
    return digest([study, chosen, checksums, images, n_scans, source_digest(SOURCES)])


def preparation(study: str, **options) -> Preparation:
    """Images of all listeners, or of those that `subjects` names, and what to make of them.

    Raises
    ------
    InputError
        As `configure`, and for an unknown listener and a mask that is not at hand.
    """
    config = configure(study, **options | {"responses": "openneuro"})
    language = LANGUAGES[study]
    images = [
        RunImage(subject, run, file.checksum, local_path(file), partial(verified_path, file))
        for subject in subject_names(study)
        for run, file in enumerate(response_files(study, subject))
    ]
    mask = None
    if config.mask == "published":
        (mask,) = (verified_path(f) for f in data_files(study) if f.path == language.mask)
    found = Preparation(
        study, tuple(images), language.n_scans, TR, GRID, mask, smoothing=config.smoothing
    )
    return narrowed(found, config.subjects) if config.subjects else found


def _prepared(study: str, config: PetitPrinceConfig) -> Preparation:
    """Of the listeners that are named, or of all that are prepared."""
    whole = preparation(study, **asdict(config))
    if not config.subjects:
        return only_prepared(whole)
    require_prepared(whole, whole.images)
    return whole


def load(study: str, **options) -> Study:
    """Read words and geometry; responses and reliability are read when they are asked for.

    Parameters
    ----------
    study
        "petitprince-en", "petitprince-fr" or "petitprince-cn".
    **options
        Fields of `PetitPrinceConfig`.

    Returns
    -------
    Study
        Free of drifts already. With the published responses it has no individual listeners, and
        `responses("average")` needs optional files. `reliability()` is the published map, in the
        voxels that other masks share with the published one; several listeners in a mask of their
        own have none.

    Raises
    ------
    InputError
        For an option that does not fit, files that are missing or not what they should be, and
        listeners that are not prepared.
    """
    config, language = configure(study, **options), LANGUAGES[study]
    paths = verified_paths(study)
    published = read_mask(paths[language.mask], GRID.shape, GRID.affine)
    prepared = _prepared(study, config) if config.responses == "openneuro" else None
    mask = published if config.mask == "published" else mask_image(prepared)
    regions = {
        Path(name).name.removesuffix(".nii.gz"): read_mask(path, GRID.shape, GRID.affine)
        for name, path in paths.items()
        if name.startswith("roi_masks/")
    }
    voxels = voxel_table(mask, regions)
    subjects = prepared.subjects if prepared else ()
    known = partial(read_reliability, paths[language.reliability], published, mask, voxels)
    # Of several listeners in a mask of their own, it is measured in the same way.
    unknown = config.mask != "published" and len(subjects) > 1
    licence, citation = terms(study)
    return Study(
        name=study,
        language=language.code,
        runs=_runs(language, config, paths, len(voxels), prepared),
        subjects=subjects,
        tr=TR,
        voxels=voxels,
        trim=TRIM,
        fingerprint=fingerprint(study, **options),
        mask=mask,
        has_average=True,
        reliability=None if unknown else known,
        split_halves=unknown,
        options=options,
        licence=licence,
        citation=citation,
    )


def _runs(
    language: Language,
    config: PetitPrinceConfig,
    paths: dict[str, Path],
    n_voxels: int,
    prepared: Preparation | None,
) -> tuple[Run, ...]:
    (table,) = (path for name, path in paths.items() if name.endswith(language.word_table))
    words = read_words(table, language)
    texts = section_texts(config.text, words, language)
    runs = []
    for number, (section, text) in enumerate(zip(words, texts, strict=True)):
        section[["onset", "offset"]] += config.onset_shift
        published = partial(read_average, language, n_voxels, number)
        load_run = partial(responses, prepared, number) if prepared else published
        runs.append(Run(section, text, language.n_scans[number], load_run))
    return tuple(runs)
