"""From executed notebooks to a website: its generated pages, pictures, records and checks.

Of the modules above only `book`, and the command that exports, take anything from here.
"""

from pathlib import Path

#: The website, below the book's folder.
SITE = Path("_build/html")
