"""Writes docs/coverage.md, each public name of Keras and its state: `python docs/make_coverage.py`.

Nothing on the page is asserted by hand: names are looked up, signatures and methods compared, and
the tables that drive the tests are read. Reasons for what differs or is left out stand in
`coverage_notes.py`; a reason that nothing needs any more is an error.
"""

import ast
import functools
import importlib
import inspect
import pkgutil
import sys
import textwrap
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "docs")]

from coverage_notes import DIFFERS, FACTS, LEFT_OUT  # noqa: E402

import staghorn  # noqa: E402
from staghorn.engine.serialization import Configurable, parameter_names  # noqa: E402
from tests.oracle import keras  # noqa: E402

PAGE = """\
# Coverage

What Keras {version} has, and its state here. Written by `python docs/make_coverage.py`, which looks
up each of the {count} public objects of the installed `keras`, compares, and reads the tests;
`make test` fails when this page is out of date.

- **equal**: it is at every place where Keras has it, with the same signature (names, order, kinds
  and defaults of parameters). A class has the same constructor, public methods and properties. And
  a test compares it with Keras: it has a row in a table of cases, or a test uses both.
- **differs**: it is there, but the comparison found what the page says, for the reason given.
- **no test**: all of it is equal, but no test compares it with Keras.
- **not yet**, **left out**: asking for it raises an error that says so.

Names in brackets are other names of the same object. A class's methods are compared where they are
public; of a method that Keras writes as `(*args, **kwargs)` only the name is.

| | {heads} | all |
|---|{rule}---:|
{figures}
"""
STATES = ("equal", "differs", "no test", "not yet", "left out")
# A name that Keras has at several places is counted where it comes first here.
HOMES = (
    "layers", "ops", "ops.numpy", "ops.nn", "ops.linalg", "ops.image", "activations",
    "initializers", "regularizers", "constraints", "losses", "metrics", "optimizers",
    "optimizers.schedules", "callbacks", "models", "random", "saving", "config", "dtype_policies",
    "quantizers", "tree", "distribution", "distillation", "export", "wrappers", "datasets",
    "utils", "utils.bounding_boxes", "preprocessing.image", "preprocessing.sequence", "", "backend",
)  # fmt: skip
NOT_PUBLIC = ("keras.src", "keras._")
# Rows of these tables are compared with Keras: namespace → module and how to read a row's name.
TABLES = (
    ("layers", "tests.layers.cases", "ALL", lambda row: row.layer),
    ("ops", "tests.ops.tables", "TABLE", lambda row: row.name),
    ("activations", "tests.test_activations", "ARGUMENTS", lambda row: row[0]),
    ("losses", "tests.losses.test_losses", "FUNCTIONS", lambda row: row[0].__name__),
    ("optimizers", "tests.optimizers.test_against_oracle", "RULES", lambda row: row[0]),
    # compared with what Keras wrote in an environment that has TensorFlow
    ("layers", "tests.golden.string_cases", "ROWS", lambda row: row.layer),
    ("utils", "tests.utils.test_feature_space", "NAMES", lambda row: "FeatureSpace"),
)


# What Keras has -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Symbol:
    """One public object of Keras and the paths at which it stands (without `keras.`)."""

    theirs: Any
    paths: tuple[str, ...]

    @property
    def path(self) -> str:
        return self.paths[0]

    @property
    def home(self) -> str:
        return self.path.rpartition(".")[0]

    def __str__(self) -> str:
        """Return its name, with the other names of the same object in brackets."""
        home, _, name = self.path.rpartition(".")
        others = {path.removeprefix(f"{home}.") for path in self.paths}
        # ops.add at ops.numpy.add, layers.Layer at Layer: the place is guessable
        others = sorted(other for other in others if other.rpartition(".")[2] != name)
        return f"`{name}`" + (f" ({', '.join(f'`{other}`' for other in others)})" if others else "")


def namespaces(module: ModuleType = keras) -> Iterator[ModuleType]:
    """Return the public modules of Keras."""
    yield module
    for info in pkgutil.iter_modules(module.__path__, f"{module.__name__}."):
        if info.ispkg and not info.name.startswith(NOT_PUBLIC):
            yield from namespaces(importlib.import_module(info.name))


def place(path: str) -> tuple:
    """Sort the paths of one object: its home first, then the name most like the object's own."""
    home, _, name = path.rpartition(".")
    rank = HOMES.index(home) if home in HOMES else len(HOMES)
    return rank, len(name) < 8, -len(name), path


@functools.cache
def surface() -> tuple[Symbol, ...]:
    """Return every public object of Keras."""
    found: dict[Any, tuple[Any, list[str]]] = {}
    for module in namespaces():
        for name, value in vars(module).items():
            if not (name.startswith("_") or inspect.ismodule(value)):
                path = f"{module.__name__}.{name}".removeprefix("keras.")
                key = id(value) if callable(value) else path
                found.setdefault(key, (value, []))[1].append(path)
    return tuple(
        Symbol(value, tuple(sorted(paths, key=lambda path: own_name(value, path))))
        for value, paths in found.values()
    )


def own_name(value: Any, path: str) -> tuple:
    """Sort paths: by namespace, then the name that the object has itself, then by length."""
    rank, *rest = place(path)
    return rank, path.rpartition(".")[2] != getattr(value, "__name__", ""), *rest


def ours(path: str) -> Any:
    """Return what stands at a path here, or None."""
    value: Any = staghorn
    for part in path.split("."):
        try:
            value = getattr(value, part)
        except AttributeError:
            return None
    return value


# Comparing ------------------------------------------------------------------------------------


def parameters(function: Any) -> dict[str, inspect.Parameter] | None:
    """Return a function's parameters; those that collect the rest are named `*` and `**`."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return None
    collectors = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}
    return {collectors.get(p.kind, p.name): p for p in signature.parameters.values()}


def shown(default: Any) -> str:
    """Return how a default is written (functions and types by name)."""
    return getattr(default, "__name__", None) or repr(default)


def listed(names: list[str]) -> str:
    """Return names as Markdown."""
    return ", ".join(f"`{name}`" for name in names)


def differing_parameters(theirs: Any, here: Any, method: bool = False) -> list[str]:
    """Return what is not equal between two signatures."""
    a, b = parameters(theirs), parameters(here)
    if a is None or b is None:
        return [] if a is b else ["its signature cannot be read"]
    if method and "*" in a:
        return []
    facts = []
    if lacking := [name for name in a if name not in b]:
        facts.append(f"no {listed(lacking)}")
    if added := [name for name in b if name not in a]:
        facts.append(f"also {listed(added)}")
    common = [name for name in a if name in b]
    if common != [name for name in b if name in a]:
        facts.append("another order of parameters")
    for name in common:
        if a[name].kind != b[name].kind:
            facts.append(f"`{name}` {b[name].kind.description}, Keras {a[name].kind.description}")
        given, wanted = (shown(side[name].default) for side in (b, a))
        if given != wanted:
            words = {"_empty": "no default"}
            given, wanted = (words.get(x, f"`{x}`") for x in (given, wanted))
            facts.append(f"`{name}`: {given}, Keras {wanted}")
    return facts


@functools.cache
def assigned(cls: type) -> frozenset[str]:
    """Return the attributes that our class gives its instances."""
    names: set[str] = set()
    for base in cls.__mro__:
        if base.__module__.startswith("staghorn"):
            names |= set(vars(base).get("__annotations__", {}))
            names |= stored(base.__module__).get(base.__name__, frozenset())
    if issubclass(cls, Configurable):  # keeps its arguments, from which configs are derived
        names |= set(parameter_names(cls))
    return frozenset(names)


@functools.cache
def stored(module: str) -> dict[str, set[str]]:
    """Return the attributes `self.x = ...` of each class of a module."""
    tree = ast.parse(Path(importlib.import_module(module).__file__ or "").read_text())
    return {
        cls.name: {
            node.attr
            for node in ast.walk(cls)
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
        }
        for cls in ast.walk(tree)
        if isinstance(cls, ast.ClassDef)
    }


def constructor(cls: type) -> Any:
    """Return `__init__`; of a class without one, one without arguments."""
    return (lambda self: None) if cls.__init__ is object.__init__ else cls.__init__


@functools.cache
def differing_members(theirs: type, here: type) -> dict[str, list[str]]:
    """Return what is not equal, by member ("" is the constructor)."""
    differs = {"": differing_parameters(constructor(theirs), constructor(here))}
    for name in dir(theirs):
        owner = next((base for base in theirs.__mro__ if name in vars(base)), object)
        if name.startswith("_") or not owner.__module__.startswith("keras"):
            continue
        if not hasattr(here, name):
            differs[name] = [] if name in assigned(here) else ["is missing"]
            continue
        a, b = getattr(theirs, name), getattr(here, name)
        if callable(a) != callable(b):
            kinds = ("a method" if callable(x) else "a property" for x in (b, a))
            differs[name] = ["is {}, Keras {}".format(*kinds)]
        elif inspect.isroutine(a):
            differs[name] = differing_parameters(a, b, method=True)
    return {name: facts for name, facts in differs.items() if facts}


@functools.cache
def public_classes() -> dict[type, Any]:
    """Return the public classes of Keras and those here."""
    pairs = ((s.theirs, [ours(path) for path in s.paths]) for s in surface())
    found = ((a, next((x for x in b if x is not None), None)) for a, b in pairs)
    return {a: b for a, b in found if inspect.isclass(a) and inspect.isclass(b)}


def differing_class(theirs: type, here: type) -> dict[str, list[str]]:
    """Return what is not equal in a class and is not said of a public base already."""
    differs = dict(differing_members(theirs, here))
    for base in theirs.__mro__[1:]:
        if base in public_classes():
            said = differing_members(base, public_classes()[base])
            differs = {name: facts for name, facts in differs.items() if said.get(name) != facts}
    return differs


def differences(symbol: Symbol) -> dict[str, list[str]] | None:
    """Return what is not equal, by member ("" is the object itself), or None if it is missing."""
    there = {path: ours(path) for path in symbol.paths}
    here = [value for value in there.values() if value is not None]
    if not here:
        return None
    differs: dict[str, list[str]] = defaultdict(list)
    if absent := [path for path, value in there.items() if value is None]:
        differs[""].append(f"not at {listed(absent)}")
    if callable(symbol.theirs) and any(value is not here[0] for value in here):
        differs[""].append("its names are different objects")
    if inspect.isclass(symbol.theirs) and inspect.isclass(here[0]):
        for name, facts in differing_class(symbol.theirs, here[0]).items():
            differs[name] += facts
    elif inspect.isclass(symbol.theirs) or inspect.isclass(here[0]):
        kinds = ("class" if inspect.isclass(x) else "function" for x in (here[0], symbol.theirs))
        differs[""].append("a {}, Keras a {}".format(*kinds))
    elif callable(symbol.theirs):
        differs[""] += differing_parameters(symbol.theirs, here[0])
    elif symbol.theirs != here[0]:
        differs[""].append(f"is `{here[0]!r}`, Keras `{symbol.theirs!r}`")
    return {name: facts for name, facts in differs.items() if facts}


# What the tests compare -----------------------------------------------------------------------


def dotted(node: ast.AST) -> str:
    """Return `a.b.c` of an expression that is one, else ""."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (owner := dotted(node.value)):
        return f"{owner}.{node.attr}"
    return ""


def used_in(tree: ast.AST) -> tuple[set[str], set[str]]:
    """Return what code uses of Keras, and every other name that it uses."""
    chains = {dotted(node) for node in ast.walk(tree)}
    theirs = {chain.removeprefix("keras.") for chain in chains if chain.startswith("keras.")}
    others = {chain.rpartition(".")[2] for chain in chains if not chain.startswith("keras.")}
    return theirs, others


def compared_by(tree: ast.Module) -> Iterator[str]:
    """Return the paths that a test file compares with Keras.

    It does where a function uses the name of Keras and ours; where a namespace of Keras is handed
    on, in the place of ours, to code that uses a name (`FUNCTIONS["cond"](keras.ops)`); and where
    names are looked up in one (`getattr(keras.losses, name)`) and stand in the file as texts; a
    member that is then taken (`getattr(keras.datasets, name).load_data`) counts too.
    """
    for part in tree.body:
        theirs, others = used_in(part)
        yield from (path for path in theirs if path.rpartition(".")[2] in others)
    owners = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    ends = {dotted(node) for node in ast.walk(tree) if id(node) not in owners}
    handed_on = {end.removeprefix("keras").lstrip(".") for end in ends if end in modules()}
    imported = {
        (name.asname or name.name).partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in node.names
    }

    def below(chain: str) -> set[str]:
        """Return the paths that a chain stands for when its first name is a namespace."""
        first, _, rest = chain.partition(".")
        return set() if first in imported else {f"{n}.{rest}".strip(".") for n in handed_on}

    handed_on |= {path for end in ends for path in below(end) if f"keras.{path}" in modules()}
    for end in ends:
        yield from below(end)
    calls = [n for n in ast.walk(tree) if isinstance(n, ast.Call) and dotted(n.func) == "getattr"]
    words = {n.value for n in ast.walk(tree) if isinstance(n, ast.Constant)}
    words = {word for word in words if isinstance(word, str) and word.isidentifier()}
    taken = {id(n.value): n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute)}
    for chain, member in {(dotted(call.args[0]), taken.get(id(call), "")) for call in calls}:
        keras_own = {chain.removeprefix("keras.")} if chain.startswith("keras.") else below(chain)
        found = {f"{home}.{word}" for home in keras_own for word in words}
        yield from found
        yield from (f"{path}.{member}" for path in found)


@functools.cache
def modules() -> frozenset[str]:
    """Return the names of Keras's public modules."""
    return frozenset(module.__name__ for module in namespaces())


def rows_of(table: Any) -> list[Any]:
    """Return the rows of a table, which may have names."""
    return list(table.values() if isinstance(table, dict) else table)


@functools.cache
def tested() -> frozenset[int]:
    """Return the identities of what a test compares with Keras."""
    paths = {
        f"{home}.{name(row)}"
        for home, module, table, name in TABLES
        for row in rows_of(getattr(importlib.import_module(module), table))
    }
    for file in sorted((ROOT / "tests").rglob("*.py")):
        text = file.read_text()
        if "tests.oracle import" in text:
            paths |= set(compared_by(ast.parse(text)))
    of_path = {path: id(symbol.theirs) for symbol in surface() for path in symbol.paths}
    return frozenset(of_path[path] for path in paths if path in of_path)


# The page -------------------------------------------------------------------------------------


class Notes:
    """The reasons of `coverage_notes.py`, and which of them nobody needed."""

    def __init__(self) -> None:
        self.used: set[str] = set()

    def find(self, table: dict[str, str], subject: str) -> str:
        """Return the reason of the first pattern that fits."""
        pattern = next((p for p in table if fnmatchcase(subject, p)), None)
        if pattern is None:
            return ""
        self.used.add(pattern)
        return table[pattern]

    def why(self, path: str, facts: list[str]) -> str:
        """Return the reason for differences: of the member, or of each fact."""
        reason = self.find(DIFFERS, path)
        if reason:
            return reason
        reasons = [self.find(FACTS, fact) for fact in facts]
        return "; ".join(dict.fromkeys(reasons)) if all(reasons) else ""

    def unused(self) -> list[str]:
        return sorted({*DIFFERS, *FACTS, *LEFT_OUT} - self.used)


@dataclass(frozen=True)
class Entry:
    """A symbol, its state, and what the page says about it: (member, what, why)."""

    symbol: Symbol
    state: str
    facts: tuple[tuple[str, str, str], ...] = ()


def left_out(symbol: Symbol) -> bool:
    """Return whether a name is in the table of what is left out, and only says so where it is."""
    if not any(fnmatchcase(symbol.path, pattern) for pattern in LEFT_OUT):
        return False
    here = next((value for value in map(ours, symbol.paths) if value is not None), None)
    try:
        return here is None or not here(None)
    except NotImplementedError:
        return True
    except Exception:  # of anything that works
        return False


def judge(symbol: Symbol, notes: Notes) -> Entry:
    """Return the state of a symbol."""
    differs = differences(symbol)
    if left_out(symbol):
        return Entry(symbol, "left out", (("", "", notes.find(LEFT_OUT, symbol.path)),))
    if differs is None:
        return Entry(symbol, "not yet")
    if not differs and symbol.path in DIFFERS:  # in what it does, not in its signature
        return Entry(symbol, "differs", (("", "", notes.find(DIFFERS, symbol.path)),))
    if not differs:
        return Entry(symbol, "equal" if id(symbol.theirs) in tested() else "no test")
    facts = (
        (name, "; ".join(said), notes.why(symbol.path + f".{name}" * bool(name), said))
        for name, said in sorted(differs.items())
    )
    return Entry(symbol, "differs", tuple(facts))


def names(entries: list[Entry], section: str) -> str:
    """Return the names of symbols as a line, those of a deeper namespace with it."""

    def name(symbol: Symbol) -> str:
        inner = symbol.home.removeprefix(section).lstrip(".")
        return str(symbol).replace("`", f"`{inner}." if inner else "`", 1)

    return ", ".join(sorted((name(e.symbol) for e in entries), key=str.lower))


def rows(entries: list[Entry], section: str) -> Iterator[str]:
    """Return the rows of a table of differences, each kind of difference once."""
    alike: dict[tuple[str, str], dict[str, list[Entry]]] = defaultdict(lambda: defaultdict(list))
    for entry in entries:
        for member, what, why in entry.facts:
            alike[what, why][member].append(entry)
    lines = []
    for (what, why), members in alike.items():
        groups: dict[str, list[str]] = defaultdict(list)
        for member, those in members.items():
            groups[names(those, section)].append(member)
        subjects = [
            those + ": " * any(members) + ", ".join(f"`.{m}`" for m in members if m)
            for those, members in groups.items()
        ]
        lines.append(f"| {'; '.join(subjects)} | {what} | {why} |".replace("|  |", "| |"))
    yield from sorted(lines, key=str.lower)


def section(name: str, entries: list[Entry]) -> str:
    """Return one namespace's part of the page."""
    of = {state: [e for e in entries if e.state == state] for state in STATES}
    parts = [f"## {f'keras.{name}' if name else 'keras'}"]
    if of["differs"]:
        table = ["| differs | what | why |", "|---|---|---|", *rows(of["differs"], name)]
        parts.append("\n".join(table))
    for state in ("not yet", "no test", "equal"):
        if of[state]:
            parts.append(f"**{state.capitalize()}** ({len(of[state])}): {names(of[state], name)}.")
    left = defaultdict(list)
    for entry in of["left out"]:
        left[entry.facts[0][2]].append(entry)
    for why, those in left.items():
        parts.append(f"**Left out** ({len(those)}): {names(those, name)}. {why}")
    return "\n\n".join("\n".join(wrapped(part)) for part in parts)


def wrapped(part: str) -> list[str]:
    """Break long lines of text; rows of tables stay whole."""
    if part.startswith(("|", "#")):
        return [part]
    return textwrap.wrap(part, 100, break_long_words=False, break_on_hyphens=False)


def entries() -> tuple[list[Entry], Notes]:
    """Return every symbol's entry, and the notes that were needed."""
    notes = Notes()
    return [judge(symbol, notes) for symbol in surface()], notes


def page(found: list[Entry]) -> str:
    """Return the page."""
    sections: dict[str, list[Entry]] = defaultdict(list)
    for entry in found:
        sections[entry.symbol.home.partition(".")[0]].append(entry)
    order = sorted(sections, key=lambda name: place(f"{name}.x"))
    counts = {name: Counter(e.state for e in sections[name]) for name in order}
    total = Counter(e.state for e in found)

    def line(title: str, count: Counter[str]) -> str:
        figures = [str(count[state] or "") for state in STATES]
        return f"| {title} | {' | '.join(figures)} | {count.total()} |"

    lines = [line(f"[{name or 'keras'}](#keras{name})", counts[name]) for name in order]
    body = [section(name, sections[name]) for name in order]
    figures = "\n".join([*lines, line("**all**", total)])
    text = PAGE.format(
        version=keras.__version__,
        count=len(found),
        heads=" | ".join(STATES),
        rule="---:|" * len(STATES),
        figures=figures,
    )
    return "\n".join([text, "\n\n".join(body)]) + "\n"


def write(folder: Path) -> None:
    """Write the page into a folder."""
    (folder / "coverage.md").write_text(page(entries()[0]))


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent)
