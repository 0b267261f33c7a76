"""*Le Petit Prince* in Chinese."""

from functools import partial

from brainalign.studies.petitprince import loading

configure = partial(loading.configure, "petitprince-cn")
load = partial(loading.load, "petitprince-cn")
fingerprint = partial(loading.fingerprint, "petitprince-cn")
preparation = partial(loading.preparation, "petitprince-cn")
