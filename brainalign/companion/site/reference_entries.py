"""Entries of the reference: a function or class, its docstring and its types, as Markdown.

They are directives of Sphinx's domain for Python, so that names in docstrings and types in signatures
are links, and the search finds them.
"""

import ast
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from brainalign.companion.site.docstrings import Entry, Module


@dataclass(frozen=True)
class Names:
    """What can be linked to.

    Attributes
    ----------
    modules : dict of str to Module
        From `read_package`.
    known : set of str
        Full names of modules, functions, classes and their members.
    unique : dict of str to str
        Names that stand for one thing in the whole package, to their full names.
    """

    modules: Mapping[str, Module]
    known: frozenset[str]
    unique: Mapping[str, str]


def gather_names(modules: Mapping[str, Module]) -> Names:
    """Full names of everything that has an entry."""
    known, short = set(modules), {}
    for module in modules.values():
        for entry in module.entries:
            full = f"{module.name}.{entry.name}"
            known |= {full, *(f"{full}.{member.name}" for member in entry.members)}
            short.setdefault(entry.name, []).append(full)
    # A plain word, such as `reading`, may mean something else.
    telling = {name for name in short if "_" in name or name != name.lower()}
    unique = {name: short[name][0] for name in telling if len(short[name]) == 1}
    return Names(modules, frozenset(known), unique)


def find(names: Names, module: Module, text: str, own: Sequence[str] = ()) -> str | None:
    """Full name of what a name in a docstring means; None for anything that has no entry.

    Parameters
    ----------
    names
        From `gather_names`.
    module
        In which the docstring stands.
    text
        The name: of something in the module, imported there, or named with its module.
    own
        Names that mean something else here: arguments.
    """
    first, _, rest = text.removesuffix("()").partition(".")
    if not re.fullmatch(r"\w+(\.\w+)*", text.removesuffix("()")) or first in own:
        return None
    tail = f".{rest}" if rest else ""
    places = [f"{module.name}.{first}{tail}", module.imported.get(first, "?") + tail]
    if rest:
        places += [first + tail, f"brainalign.{first}{tail}"]
    places += [f"{names.unique[first]}{tail}"] if first in names.unique else []
    return next((place for place in places if place in names.known), None)


def markdown(text: str, names: Names, module: Module, own: Sequence[str] = ()) -> str:
    """A docstring's text as Markdown, with links where it names something of the package."""
    text = re.sub(r"::\n\n((?: {4}.*\n?|\n)+)", _literal_block, text)
    # A value in quotation marks is code, too, or they would be made typographic ones.
    pieces = re.split(r'(```.*?```|``.+?``|`[^`]+`|"[\w.:/-]+")', text, flags=re.DOTALL)
    return "".join(
        _code(piece, names, module, own) if number % 2 else _escaped(piece)
        for number, piece in enumerate(pieces)
    )


def _literal_block(match: re.Match) -> str:
    lines = [line.removeprefix("    ") for line in match[1].strip("\n").splitlines()]
    return ":\n\n```python\n" + "\n".join(lines) + "\n```\n"


def _escaped(text: str) -> str:
    """Text in which nothing but bullets at the start of a line is markup."""
    # Dots and colons within words, lest a name be taken for an address.
    addresses = r"(?<=\w)\.(?=[a-z]{2})|(?<=\w):(?=//)"
    return re.sub(rf"[*$<>\[\]{{}}|\\]|(?<!\w)_|_(?!\w)|{addresses}", r"\\\g<0>", text)


def _code(piece: str, names: Names, module: Module, own: Sequence[str]) -> str:
    if piece.startswith(("``", '"')):
        return f"`{piece}`" if piece.startswith('"') else piece
    target = find(names, module, piece.strip("`"), own)
    return f"{{py:obj}}`{piece.strip('`')} <{target}>`" if target else piece


def _type(text: str, names: Names, module: Module) -> str:
    """A type in words, with links to the classes it names."""

    def linked(match: re.Match) -> str:
        target = find(names, module, match[0])
        return f"{{py:obj}}`{match[0]} <{target}>`" if target else match[0]

    return re.sub(r"\b(?<!\.)[A-Z]\w+\b", linked, _escaped(text))


def _items(name: str, items, names: Names, module: Module, own: Sequence[str]) -> str:
    """A section with items as a definition list."""
    lines = [f"**{name}**", ""]
    for head, text in items:
        listed, colon, kind = head.partition(" : ")
        if colon or name in ("Parameters", "Attributes"):
            terms = ", ".join(f"`{one.strip()}`" for one in listed.split(","))
            lines.append(terms + (f" : {_type(kind, names, module)}" if colon else ""))
        else:
            lines.append(_type(head, names, module))
        said = markdown(text, names, module, own) or "…"
        lines += [": " + said.replace("\n", "\n  "), ""]
    return "\n".join(lines).rstrip()


def linked_signature(entry: Entry, names: Names, module: Module) -> str:
    """Signature in which types are spelt out and classes named in full, for Sphinx to link them."""
    tree = ast.parse(f"def f{entry.signature}: pass").body[0]

    class Full(ast.NodeTransformer):
        def visit_Name(self, node):
            if alias := _alias(names, module, node.id):
                return self.visit(ast.parse(alias, mode="eval").body)
            target = find(names, module, node.id) if node.id[0].isupper() else None
            return ast.Name(f"~{target}") if target else node

        def visit_Tuple(self, node):
            flat = [inner for one in node.elts for inner in _unpacked(self.visit(one))]
            return ast.Tuple(flat)

    for one in ast.walk(tree):
        if isinstance(one, ast.arg) and one.annotation:
            one.annotation = Full().visit(one.annotation)
    gives = f" -> {ast.unparse(Full().visit(tree.returns))}" if tree.returns else ""
    return f"({ast.unparse(tree.args)}){gives}"


def _unpacked(node: ast.expr) -> list[ast.expr]:
    """Elements of `*("a", "b")`; anything else as it is."""
    inner = getattr(node, "value", None) if isinstance(node, ast.Starred) else None
    return list(inner.elts) if isinstance(inner, ast.Tuple) else [node]


def _alias(names: Names, module: Module, name: str) -> str | None:
    """What the name of a type stands for, in this module or the one it is imported from."""
    where, _, original = module.imported.get(name, "").rpartition(".")
    if where in names.modules:
        return names.modules[where].aliases.get(original)
    return module.aliases.get(name)


def _all_sections(entry: Entry, names: Names, module: Module) -> dict[str, object]:
    """Sections of a docstring; a short one, whose types say the rest, may point to another."""
    if not entry.arguments or {"Parameters", "Attributes"} & set(entry.sections):
        return dict(entry.sections)
    for text in re.findall(r"`([\w.]+)`", entry.summary):
        described = _described(find(names, module, text), names)
        if shared := [name for name in entry.arguments if name in described]:
            return {"Parameters": [(", ".join(shared), f"As for `{text}`.")], **entry.sections}
    return dict(entry.sections)


def _described(full: str | None, names: Names) -> set[str]:
    """Parameters that the docstring of a function describes."""
    place, _, short = (full or "").rpartition(".")
    entries = names.modules[place].entries if place in names.modules else ()
    items = [one.sections.get("Parameters", ()) for one in entries if one.name == short]
    heads = [head.partition(" : ")[0] for section in items for head, _ in section]
    return {name.strip() for head in heads for name in head.split(",")}


def entry_text(
    entry: Entry, names: Names, module: Module, source: str = "", inside: str = ""
) -> str:
    """Markdown of one entry: a directive of Sphinx's Python domain.

    Parameters
    ----------
    entry
        What is described.
    names
        From `gather_names`.
    module
        In which it stands.
    source
        Address of the module's source; empty while there is none.
    inside
        Name of the class that it is a member of.
    """
    own = (*entry.arguments, entry.name)
    parts = [markdown(entry.summary, names, module, own)]
    parts += [markdown(entry.description, names, module, own)] if entry.description else []
    for name, value in _all_sections(entry, names, module).items():
        if isinstance(value, list):
            parts.append(_items(name, value, names, module, own))
        else:
            parts.append(f"**{name}**\n\n{markdown(value, names, module, own)}")
    parts += [f"[Source]({source}#L{entry.line})"] if source else []
    members = [entry_text(one, names, module, source, entry.name) for one in entry.members]
    fence = "`" * (4 if inside else 5)
    if entry.kind == "property":
        _, _, kind = entry.signature.partition(" -> ")
        head = f"{entry.name}" + (f"\n:type: {kind}" if kind else "")
    else:
        head = entry.name + linked_signature(entry, names, module)
    return "\n\n".join([f"{fence}{{py:{entry.kind}}} {head}\n", *parts, *members, fence])
