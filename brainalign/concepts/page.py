"""What the page on concepts shows: published maps, or simulated listeners and their responses."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import xarray as xr

from brainalign.concepts.listeners import listener_data
from brainalign.concepts.maps import ConsistencyMap, listener_map, published_map
from brainalign.concepts.probability import Rule
from brainalign.studies import load_concepts
from brainalign.studies.concepts.maps import ConceptMaps
from brainalign.studies.concepts.responses import ConceptResponses

PageStudy = Literal["concepts-testbed", "concepts"]


@dataclass(frozen=True)
class ConceptPage:
    """A study of concepts as the page shows it.

    Attributes
    ----------
    map : maps.ConsistencyMap
        Where voxels are consistent.
    published : ConceptMaps or None
        The published study.
    study : ConceptResponses or None
        Listeners with responses.
    data : xarray.Dataset or None
        From `listeners.listener_data`.
    """

    map: ConsistencyMap
    published: ConceptMaps | None = field(default=None, repr=False)
    study: ConceptResponses | None = field(default=None, repr=False)
    data: xr.Dataset | None = field(default=None, repr=False)

    @property
    def not_at_hand(self) -> tuple[str, ...]:
        """Tags of the notebook's cells that do not concern this study."""
        return ("responses",) if self.study is None else ("published",)


def concept_page(
    name: PageStudy,
    rule: Rule,
    n_permutations: int,
    seed: int = 0,
    options: Mapping[str, Any] | None = None,
) -> ConceptPage:
    """Load a study of concepts with its map.

    Parameters
    ----------
    name
        "concepts" or "concepts-testbed".
    rule
        By which voxels of listeners are consistent; the published map has its own.
    n_permutations, seed
        As in `listeners.listener_data`.
    options
        Of the simulated study; the published one has none.

    Returns
    -------
    ConceptPage

    Raises
    ------
    InputError
        As `studies.load_concepts` and `listeners.listener_data`.
    """
    if name == "concepts":
        maps = load_concepts(name)
        return ConceptPage(published_map(maps), published=maps)
    study = load_concepts(name, **(options or {}))
    data = listener_data(study, n_permutations, seed)
    return ConceptPage(listener_map(study, data, rule), study=study, data=data)


def other_listeners(
    page: ConceptPage, seed: int = 0, paradigms: Sequence[str] | None = None, **changes
) -> ConceptPage:
    """The same listeners, but for some options of their study; without a map of their own.

    Parameters
    ----------
    page
        Of a simulated study.
    seed, paradigms
        As in `listeners.listener_data`.
    **changes
        Options of the study: `consistency_spread=0`, `codes="unrelated"`.

    Returns
    -------
    ConceptPage
        Its `map` is still the page's.
    """
    study = load_concepts(page.study.name, **page.study.options | changes)
    return replace(page, study=study, data=listener_data(study, 0, seed, paradigms))
