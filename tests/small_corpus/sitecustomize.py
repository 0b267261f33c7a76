"""Imported by every Python that has this folder on its path: the small corpus takes the real one's place."""

import os
from dataclasses import replace
from pathlib import Path

if folder := os.environ.get("SMALL_CORPUS_TABLES"):
    from brainalign.studies import registry
    from brainalign.studies.petitprince import languages

    registry.TABLES = Path(folder)
    for name, language in languages.LANGUAGES.items():
        # As in corpus_files.N_SCANS, which needs more than may be imported here.
        languages.LANGUAGES[name] = replace(language, n_scans=tuple(range(40, 49)))
