"""A small website with one of everything that pages have, for the tests in a browser."""

import json
from pathlib import Path

import tiny_book

from brainalign.companion import book, explorer

INDEX = """# Start

Read about the angular gyrus in [the words](words.md), or [see it grow](executed/tiny.ipynb).

```{bibliography}
```
"""
WORDS = """# Words

## Of the brain

The angular gyrus is a fold of the parietal lobe. Its score is $r = .95$, or

$$s = a + b \\log_{10} n.$$ (law)

```python
angular = ["gyrus", 1.5]  # a comment that is so long that the line scrolls on any narrow screen
```

```bash
brainalign params scaling_law
```

| region | score |
|---|---|
| angular gyrus | 0.31 |

```{exercise}
:label: fold
Which lobe is it?
```

````{solution} fold
:label: fold-solution
:class: dropdown
The parietal lobe.
````
"""

CHOICE = """from brainalign.companion.parameters import Literal

voxels: Literal["all", "reliable", "none"] = "all"  # which voxels count
"""
DRAW = """import matplotlib.pyplot as plt
import pandas as pd

from brainalign.companion.output import show, table

figure, axes = plt.subplots(figsize=(2, 1))
axes.plot([0, len(voxels)])
show(figure, "line", alt=f"A line for {voxels}")
table(pd.DataFrame({"voxels": [voxels], "score": [len(voxels)]}), "table", f"Of {voxels}")
"""


def _write_choice(folder: Path) -> None:
    """A notebook whose page offers three variants to choose from."""
    cells = [
        tiny_book.text("# Which voxels?", "once"),
        tiny_book.code(CHOICE, "parameters"),
        tiny_book.code(DRAW, "explore"),
        tiny_book.text("**Figure: a line.** It is as long as the name.", "explore"),
    ]
    path = tiny_book.write_notebook(folder, "choice", cells, [{"voxels": "all"}])
    notebook = json.loads(path.read_text(encoding="utf-8"))
    grids = [{"voxels": ["all", "reliable", "none"]}]
    notebook["metadata"]["brainalign"]["explore"] = {"grids": grids, "seconds": 600, "megabytes": 1}
    path.write_text(json.dumps(notebook), encoding="utf-8")


def make_project(folder: Path) -> Path:
    """A project of prose, a notebook with figures, table and command, and one with an explorer."""
    tiny_book.make_project(folder)
    _write_choice(folder)
    with open(folder / "_toc.yml", "a", encoding="utf-8") as toc:
        toc.write("  - file: book/executed/choice\n  - file: book/words\n")
    (folder / "book" / "index.md").write_text(INDEX, encoding="utf-8")
    (folder / "book" / "words.md").write_text(WORDS, encoding="utf-8")
    return folder


def build() -> Path:
    """Execute and build the project of the current folder, without a benchmark; its site."""
    pages = book.plan_pages()
    explorers = explorer.plan_explorers(pages)
    for planned in (pages, explorer.to_execute(explorers)):
        book.execute_stale(planned, say=lambda text: None)
    book.write_pages(pages, explorers)
    return book.build(Path.cwd()).parent
