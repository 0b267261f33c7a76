"""French: gender, agreement and elision; adjectives follow their noun."""

from brainalign.studies.testbed.languages.language import (
    Language,
    Verb,
    marked_nouns,
    noun_classes,
)

_PLACES = (
    "une forêt, une cuisine, un port, un marché, une école, une ferme, un château, une clinique"
)
_PURPOSES = "un entretien, un secret, une découverte, une beauté, un commerce, une guerre"
_SCENE_OBJECTS = (
    "un sapin, une fougère, un champignon, un gland, une brindille, une baie, une racine, "
    "une souche",
    "une marmite, une cuillère, un four, un bol, une bouilloire, une assiette, une poêle, un bocal",
    "un bateau, une ancre, une voile, un filet, une corde, une rame, un quai, un tonneau",
    "un étal, une pièce, un panier, une balance, un tissu, une épice, un chariot, une caisse",
    "un pupitre, une craie, un crayon, un cahier, une règle, un globe, une cloche, une carte",
    "une charrue, une grange, une meule, une clôture, un seau, un tracteur, une graine, une pelle",
    "une tour, une épée, une couronne, un trône, un bouclier, une bannière, un portail, une torche",
    "un pansement, une aiguille, une pilule, un thermomètre, un lit, une béquille, une fiole, "
    "un brancard",
)
_OBJECTS = (
    "une pierre, une boîte, un sac, une clé, un livre, une lettre, une lampe, une chaise, "
    "une table, une porte, une fenêtre, un mur, un chapeau, un manteau, une chaussure, une bague, "
    "une pendule, une bougie, un miroir, un tableau, une couverture, un oreiller, une échelle, "
    "une roue, un bâton, une ficelle, un papier, un couteau, une tasse, un jouet, une balle, "
    "un drapeau, une brosse, un balai, un tambour, une flûte, une plume, un ruban, un bouton, "
    "un coussin"
)
_ANIMATES = (
    "un chien, un chat, un cheval chevaux, un lapin, un renard, un ours ours, une chèvre, "
    "un canard, un corbeau corbeaux, une chouette, un fermier, un médecin, une maîtresse, "
    "un marin, une boulangère, un soldat, un enfant, un roi, une reine, une marchande, "
    "une infirmière, un pilote, un peintre, une chanteuse, une danseuse, un loup"
)
_TIMES = (
    "un matin, un soir, une nuit, un jour, un hiver, un été, un printemps, un automne, un midi, "
    "un dimanche"
)


def french_verb(infinitive: str) -> Verb:
    """Forms of a regular verb in -er: present and imperfect, and the participle that agrees.

    Parameters
    ----------
    infinitive
        "réparer".
    """
    stem = infinitive.removesuffix("er")
    return Verb(
        infinitive,
        f"{stem}e|{stem}ent",
        f"{stem}ait|{stem}aient",
        f"{stem}é/{stem}ée|{stem}és/{stem}ées",
    )


def _verbs(text: str) -> tuple[Verb, ...]:
    return tuple(french_verb(infinitive) for infinitive in text.split())


def _adjective(text: str) -> str:
    """All forms of an adjective: "sage", "vert" (verte) or "doux-douce"."""
    masculine, _, feminine = text.partition("-")
    feminine = feminine or masculine + "e" * (not masculine.endswith("e"))
    several = masculine + "s" * (masculine[-1] not in "sx")
    return f"{masculine}/{feminine}|{several}/{feminine}s"


def _animate(text: str) -> tuple[str, str]:
    _, singular, *plural = text.split()
    return singular, plural[0] if plural else singular + "s"


FRENCH = Language(
    code="fr",
    name="French",
    places=marked_nouns(_PLACES),
    purposes=marked_nouns(_PURPOSES),
    scene_objects=tuple(marked_nouns(text) for text in _SCENE_OBJECTS),
    objects=marked_nouns(_OBJECTS),
    goal_verbs=(
        _verbs("réparer raccommoder rafistoler restaurer retaper rénover"),
        _verbs("cacher dissimuler enterrer camoufler masquer déguiser"),
        _verbs("chercher inspecter explorer examiner fouiller scruter"),
        _verbs("décorer orner dorer lustrer enjoliver colorier"),
        _verbs("acheminer transporter expédier importer exporter rapporter"),
        _verbs("casser écraser brûler dévaster briser pulvériser"),
    ),
    verbs=_verbs(
        "regarder toucher admirer aimer désirer pousser tirer laver attraper garder emprunter "
        "compter ramasser montrer trouver remarquer oublier frapper secouer poser dessiner adopter "
        "tourner réclamer"
    ),
    speech_verbs=(
        Verb("dire", "dit|disent", "disait|disaient", "dit"),
        Verb("penser", "pense|pensent", "pensait|pensaient", "pensé"),
        Verb("savoir", "sait|savent", "savait|savaient", "su"),
    ),
    motion_verbs=(
        Verb("aller", "va", "allait", "allé"),
        Verb("venir", "vient", "venait", "venu"),
    ),
    names=tuple(
        zip(
            "Anna Benoît Claire David Emma François Gisèle Luc Inès Jacques".split(),
            "fmfmfmfmfm",
            strict=True,
        )
    ),
    animates=tuple(_animate(text) for text in _ANIMATES.split(",")),
    adjectives=tuple(
        _adjective(text)
        for text in (
            "rouge bleu vert blanc-blanche noir brun jaune gris triste calme timide agile fragile "
            "sale propre rapide lourd léger-légère étroit rond dur froid chaud sombre brillant "
            "étrange brave robuste solide doux-douce fier-fière tranquille sage immense minuscule "
            "énorme"
        ).split()
    ),
    adverbs=tuple(
        "vite lentement doucement soigneusement joyeusement tristement souvent toujours encore "
        "bientôt gentiment hardiment avidement calmement secrètement enfin parfois rarement "
        "brusquement patiemment".split()
    ),
    prepositions=tuple("sous derrière devant sur avec sans contre malgré après avant".split()),
    subordinators=(
        *("quand", "lorsque", "comme", "puisque"),
        *("pendant que", "tandis que", "parce que", "dès que"),
    ),
    times=marked_nouns(_TIMES),
    conjunctions=("et", "mais", "donc"),
    relativisers=(("qui", "que"),),
    determiners={
        "singular": ("le/la", "le/la", "le/la", "le/la", "un/une", "un/une", "ce/cette", "chaque"),
        "plural": ("les", "les", "les", "les", "des", "ces", "plusieurs", "quelques"),
    },
    before_vowel={
        "le": "l'",
        "la": "l'",
        "ce": "cet",
        "que": "qu'",
        "lorsque": "lorsqu'",
        "puisque": "puisqu'",
    },
    noun_class=noun_classes(
        "un une", [_PLACES, _PURPOSES, *_SCENE_OBJECTS, _OBJECTS, _ANIMATES, _TIMES]
    ),
    function={
        "one": "un/une",
        "the": "le/la",
        "to": "vers",
        "in order to": "pour",
        "by": "par",
        "in": "dans",
        "for": "pour",
        "and": "et",
        "that": "que",
        "subject f": "elle",
        "subject m": "il",
        "passive past": "était|étaient",
        "passive present": "est|sont",
    },
    order={
        "opening": ("time", "agent", "go", "place", "goal"),
        "noun phrase": ("determiner", "noun", "adjective", "relative"),
        "active": ("agent", "verb", "adverb", "patient", "prepositional"),
        "passive": ("patient", "auxiliary", "verb", "adverb", "by", "agent", "prepositional"),
        "subject relative": ("relativiser", "verb", "patient"),
        "object relative": ("relativiser", "agent", "verb"),
        "prepositional": ("preposition", "noun phrase"),
        "place": ("preposition", "determiner", "noun"),
        "purpose": ("preposition", "determiner", "noun"),
        "complement": ("agent", "verb", "complementiser", "clause"),
        "subordination": ("subordinate", "main"),
    },
)
