"""*Le Petit Prince* in English."""

from functools import partial

from brainalign.studies.petitprince import loading

configure = partial(loading.configure, "petitprince-en")
load = partial(loading.load, "petitprince-en")
fingerprint = partial(loading.fingerprint, "petitprince-en")
preparation = partial(loading.preparation, "petitprince-en")
