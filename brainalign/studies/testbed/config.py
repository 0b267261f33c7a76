"""Every number of the testbed, in one place."""

from dataclasses import dataclass, field
from types import MappingProxyType

from brainalign.errors import InputError

FAMILIES = ("surface", "lexical", "syntax", "event", "discourse")

#: Left-hemisphere seeds of the regions of interest (x, y, z in mm, MNI); the right ones mirror
#: them. The first seven are those of Bonnasse-Gahot & Pallier (2024); A1 is an auditory region.
SEEDS = MappingProxyType(
    {
        "TP": (-48, 15, -27),
        "aSTS": (-54, -12, -12),
        "pSTS": (-51, -39, 3),
        "AG_TPJ": (-52, -56, 22),
        "BA44": (-50, 12, 16),
        "BA45": (-52, 28, 10),
        "BA47": (-44, 34, -8),
        "A1": (-46, -22, 8),
    }
)

#: Planted weight of each family of latents (surface, lexical, syntax, event, discourse), left and
#: right. The right has slightly more lexical and syntactic weight: without it, the scores of
#: untrained models would grow with their size on the left alone.
WEIGHTS = MappingProxyType(
    {
        "A1": ((0.9, 0.3, 0.1, 0.0, 0.0), (0.9, 0.3, 0.1, 0.0, 0.0)),
        "TP": ((0.2, 0.5, 0.1, 0.35, 0.4), (0.2, 0.52, 0.12, 0.3, 0.3)),
        "aSTS": ((0.3, 0.4, 0.25, 0.5, 0.7), (0.3, 0.5, 0.32, 0.4, 0.35)),
        "pSTS": ((0.3, 0.4, 0.25, 0.5, 0.65), (0.3, 0.5, 0.32, 0.4, 0.35)),
        "AG_TPJ": ((0.1, 0.3, 0.1, 0.5, 1.0), (0.1, 0.5, 0.25, 0.35, 0.45)),
        "BA44": ((0.2, 0.4, 0.7, 0.3, 0.1), (0.2, 0.4, 0.7, 0.3, 0.1)),
        "BA45": ((0.2, 0.4, 0.3, 0.5, 0.65), (0.2, 0.5, 0.37, 0.4, 0.3)),
        "BA47": ((0.1, 0.4, 0.2, 0.5, 0.7), (0.1, 0.5, 0.28, 0.4, 0.35)),
    }
)


@dataclass(frozen=True)
class StoryConfig:
    """Probabilities of the story generator.

    A scene is an opening that names person, place and goal, a *setting* of sentences full of cues
    to place and goal, and a longer *body* in which cues are rare: only there does a model that
    remembers differ from one that reads the last few words, which the hemodynamic response
    blurs together anyway.

    Attributes
    ----------
    setting_sentences, body_sentences : (int, int)
        Fewest and most sentences of each part.
    setting_cue, body_cue : float
        Probability that a content word comes from the scene's or the goal's own list.
    keep_protagonist : float
        Probability that the next scene has the same protagonist.
    protagonist_subject : float
        Probability that the subject of a main clause is the protagonist.
    pronoun, passive, relative, complement, subordinate, coordinate, prepositional, adjective,
    adverb, plural : float
        Probability of each construction where it is possible.
    verb_pair : float
        Probability that a clause has two verbs for one act ("mends and patches"). Words that share
        a topic have to stand side by side somewhere, or small models never find the topics.
    animate_patient : float
        Probability that a being, not a thing, is acted on.
    complement_depth : int
        Deepest nesting of "said that".
    """

    setting_sentences: tuple[int, int] = (3, 3)
    body_sentences: tuple[int, int] = (4, 6)
    setting_cue: float = 0.95
    body_cue: float = 0.20
    keep_protagonist: float = 0.4
    protagonist_subject: float = 0.5
    pronoun: float = 0.75
    passive: float = 0.13
    relative: float = 0.45
    complement: float = 0.13
    complement_depth: int = 2
    subordinate: float = 0.18
    coordinate: float = 0.12
    verb_pair: float = 0.4
    animate_patient: float = 0.15
    prepositional: float = 0.4
    adjective: float = 0.4
    adverb: float = 0.2
    plural: float = 0.4


@dataclass(frozen=True)
class TestbedConfig:
    """The generated study.

    Attributes
    ----------
    seed : int
        Of the simulated brains: voxel preferences, gains, noise. The story does not depend on it.
    story_seed : int
        Of the story that is heard.
    language : str
        Key of `language.LANGUAGES`.
    n_runs, n_scans : int
        Runs, and scans in each.
    tr : float
        Repetition time in seconds.
    words_per_second : float
        Speed of the narrator.
    trim : (int, int)
        Scans dropped at the start and end of a run, where every listener shares the onset.
    n_listeners : int
        Individual listeners.
    noise : float
        Standard deviation of the noise in the *average* listener, where the signal of a
        region's centre is about 1. Individual listeners have `noise * sqrt(n_listeners)`.
    gain_spread : float
        Standard deviation of the logarithm of a listener's gain.
    autocorrelation : float
        AR(1) coefficient of the noise from scan to scan.
    shared_noise : float
        Part of the noise's standard deviation that the voxels of a parcel share.
    kernel_fwhm : float
        In mm; how sharply one region's weights give way to the next one's.
    plateau, reach : float
        In mm from the nearest seed: signal is full up to `plateau` and then falls off as a
        Gaussian of standard deviation `reach`.
    silent : float
        Signal amplitude under which a voxel is silent.
    asymmetry : float
        How far the left and right weights lie from their mean, times the planted distance: 0 gives
        both hemispheres the mean, a brain with nothing to find. At 2, the most, no weight is
        negative yet.
    story : StoryConfig
        Probabilities of the story generator.
    """

    __test__ = False  # pytest must not take the name for a test

    seed: int = 0
    story_seed: int = 1
    language: str = "en"
    n_runs: int = 9
    n_scans: int = 300
    tr: float = 2.0
    words_per_second: float = 3.0
    trim: tuple[int, int] = (10, 5)
    n_listeners: int = 8
    noise: float = 2.0
    gain_spread: float = 0.2
    autocorrelation: float = 0.4
    shared_noise: float = 0.6
    kernel_fwhm: float = 12.0
    plateau: float = 10.0
    reach: float = 15.0
    silent: float = 0.05
    asymmetry: float = 1.0
    story: StoryConfig = field(default_factory=StoryConfig)

    def __post_init__(self):
        for name, least in [("n_runs", 3), ("n_scans", 30), ("n_listeners", 1)]:
            if getattr(self, name) < least:
                raise InputError(
                    f"Testbed: {name} is {getattr(self, name)}; at least {least} is expected."
                )
        if sum(self.trim) >= self.n_scans:
            raise InputError(
                f"Testbed: trim {self.trim} leaves nothing of a run of {self.n_scans} scans."
            )
        for name in ("tr", "words_per_second", "noise"):
            if getattr(self, name) <= 0:
                raise InputError(f"Testbed: {name} is {getattr(self, name)}; it must be positive.")
        if not 0 <= self.asymmetry <= 2:
            raise InputError(
                f"Testbed: asymmetry is {self.asymmetry}; a number from 0 to 2 is expected."
            )
