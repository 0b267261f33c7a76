"""*Le Petit Prince* in French."""

from functools import partial

from brainalign.studies.petitprince import loading

configure = partial(loading.configure, "petitprince-fr")
load = partial(loading.load, "petitprince-fr")
fingerprint = partial(loading.fingerprint, "petitprince-fr")
preparation = partial(loading.preparation, "petitprince-fr")
