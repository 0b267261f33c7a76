"""*Le Petit Prince* in English, French and Chinese: listeners to nine runs (Li et al. 2022).

Words and images come from the corpus; masks, regions, maps of reliability and average listeners
from Bonnasse-Gahot & Pallier (2024). The text of the story is under copyright and stays with the
user.
"""
