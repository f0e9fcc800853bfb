"""From results to docs/benchmarks.md and its chart: everything on the page is computed here.

A ratio is other / Staghorn, taken within a round, so that both saw the same machine; shown are the
median and the range over rounds. What follows the line `KEPT` on the page is left as it is.
"""

import statistics
from pathlib import Path

import numpy as np

from benchmarks.contenders import CONTENDERS, PEERS, peers_meant
from benchmarks.programs import PROGRAMS

KEPT = "<!-- What follows is written by hand and kept. -->"
CHART = "images/benchmarks.svg"
IMPORT_TARGETS = {"staghorn above jax": 0.25, "staghorn --help": 0.3}
MEANT = {
    "best": "best of all",
    "keras": "best of `keras`",
    "default": "best `keras` default",
    "tuned": "best tuned `keras`",
}

PAGE = """\
# How fast it is

Whole programs, on Staghorn and on what could be used instead, taking turns on one machine in one
run. Written by `make bench` ({effort}, {dates}); the programs are in `benchmarks/programs.py`,
`torch_loops.py` and `jax_loops.py`.

- **Machine**: {machine}{load}
- **Versions**: {versions}
- **Command**: `{command}`

A ratio says how many times as long the other takes: above 1, Staghorn is faster. It is taken
between neighbours in time; shown are the median and, in brackets, the lowest and the highest.
"Tuned" is `steps_per_execution` for a whole epoch, and the better `jit_compile`. The hand-written
JAX loop is the limit of the engine: it has none of the generality, and computes the same.

![Ratios of all contenders]({chart})

## Targets

{targets}

## Everyone

Milliseconds of an epoch (or a call), everything compiled, by the clock and of all cores together,
and the ratio to Staghorn by the clock.

{everyone}

## The first run of a process

Seconds of the first `fit`, compilation included, of as many epochs as the last column says.

{whole}

## From the start of a process

{startup}

## Memory

The most that a process had at once, in MiB, libraries and data included.

{memory}

## What was reached

Nobody wins by computing less: the quality after the first run, the mean over processes.

{quality}

## How `fit` grows

Milliseconds of one `fit`; a line is fitted to each curve, with errors taken relative to the
size of a point. The constant is the fixed cost.

{growth}
"""


# Figures ---------------------------------------------------------------------------------------


def median_range(values):
    """Return (median, least, most) of finite values, or None."""
    values = [v for v in values if v == v]
    return (statistics.median(values), min(values), max(values)) if values else None


def ratios(theirs, ours):
    """Rounds of each process → other / Staghorn, round by round as far as both go."""
    return [a / b for i, j in zip(theirs, ours, strict=False) for a, b in zip(i, j, strict=False)]


def whole(result):
    """Rounds for `ratios` from first runs, compilation included: one a process."""
    return [[seconds] for seconds in result["first"]]


def from_nothing(result):
    """The same, building included."""
    return [[a + b] for a, b in zip(result["built"], result["first"], strict=False)]


def rounds(result):
    """Rounds for `ratios` once everything is compiled."""
    return result["some"]


def processor(result):
    """The same rounds, in time of all cores together."""
    return result["cpu"]


def middle(result, figures=rounds):
    """The median of all rounds of a contender; None if it has none."""
    values = [value for process in figures(result) for value in process]
    return statistics.median(values) if values else None


def best(results, names, figures=rounds):
    """Of `names`, the contender with the least median; None if nobody has one."""
    found = {n: middle(results[n], figures) for n in names if n in results}
    found = {n: value for n, value in found.items() if value is not None}
    return min(found, key=found.get) if found else None


def line_of(points):
    """Return (fixed cost, cost of one more, largest relative deviation) of a curve."""
    x, y = np.asarray(points["x"], float), np.asarray(points["ms"], float)
    slope, fixed = np.polyfit(x, y, 1, w=1 / y)
    return fixed, slope, float(np.max(np.abs(fixed + slope * x - y) / y))


def in_words(points):
    fixed, slope, off = line_of(points)
    return f"{fixed:.3g} ms + {slope:.3g} ms each, within {100 * off:.0f} %"


def show(figures, form="{:.2f}"):
    """Median and range as text."""
    if figures is None:
        return "not measured"
    middle_, low, high = (form.format(value) for value in figures)
    return f"{middle_} ({low} to {high})" if low != high else middle_


def verdict(met):
    return "met" if met else "**missed**"


def table(head, rows):
    if not rows:
        return "Not measured."
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


# Tables ----------------------------------------------------------------------------------------


def measured(results):
    """{program: results} of those measured, in the order of the programs."""
    parts = results["parts"]
    return {name: parts[name]["results"] for name in PROGRAMS if name in parts}


def targets(results):
    """Rows: what, Staghorn, against whom, ratio or figure, target, verdict."""
    rows = []
    for name, held in measured(results).items():
        if not held.get("staghorn", {}).get("built"):
            rows.append([PROGRAMS[name].title, "failed", "", "", "", verdict(False)])
            continue
        rows += program_targets(PROGRAMS[name], held, results["about"]["effort"])
    return rows + startup_targets(results) + memory_target(results)


def program_targets(entry, held, effort):
    """The rows of one program."""
    rows, ours = [], held["staghorn"]
    compiled = (rounds, f"ms per {entry.unit}")
    if entry.judge_whole and effort == "full":
        compiled = (whole, f"s for {entry.whole[1]} epochs")
    for wanted, (figures, unit) in (
        (entry.first or {}, (from_nothing, "s")),
        (entry.targets, compiled),
    ):
        for word, target in wanted.items():
            who = best(held, peers_meant(word), figures)
            against, found = MEANT.get(word, ""), None
            if who:
                found = median_range(ratios(figures(held[who]), figures(ours)))
                against += f"{': ' if against else ''}{CONTENDERS[who].title}"
                against += f", {middle(held[who], figures):.3g}"
            met = verdict(found is not None and found[0] >= target)
            own = f"{middle(ours, figures):.3g} {unit}"
            rows.append([entry.title, own, against, show(found), f"{target:g}x", met])
    if entry.limit and middle(held.get("jax", {"some": []})):
        found = median_range(ratios(ours["some"], held["jax"]["some"]))
        against = f"limit: {CONTENDERS['jax'].title}, {middle(held['jax']):.3g}"
        own, shown = f"{middle(ours):.3g} ms per {entry.unit}", f"{show(found)} of its time"
        met = verdict(found[0] <= entry.limit)
        rows.append([entry.title, own, against, shown, f"<= {entry.limit:g}", met])
    return rows


def startup_targets(results):
    held = results["parts"].get("startup", {}).get("results")
    if not held:
        return []
    rows = []
    shown = {"staghorn above jax": ("`import staghorn`, above `import jax`", held["import"])}
    shown["staghorn --help"] = ("`staghorn --help`", held["help"])
    for name, (title, times) in shown.items():
        if figures := median_range(times.get(name, [])):
            target = IMPORT_TARGETS[name]
            met = verdict(figures[0] < target)
            rows.append([title, f"{show(figures)} s", "", "", f"< {target:g} s", met])
    middles = {
        kind: {n: statistics.median(v) for n, v in held[kind].items()} for kind in ("cold", "warm")
    }
    ours = middles["cold"].get("staghorn")
    if ours is None:
        return rows
    title = "process start to the end of a first fit on 1,000 rows"
    for name in (n for n in middles["cold"] if n.startswith("keras")):
        pairs = ratios([held["cold"][name]], [held["cold"]["staghorn"]])
        figures, against = (
            median_range(pairs),
            f"{CONTENDERS[name].title}, {middles['cold'][name]:.3g}",
        )
        met = verdict(figures[0] > 1)
        rows.append([title, f"{ours:.3g} s", against, show(figures), "> 1x", met])
    if warm := held["warm"].get("staghorn"):
        figures = median_range(ratios([held["cold"]["staghorn"]], [warm]))
        own = f"{statistics.median(warm):.3g} s"
        against = f"its first process, {ours:.3g}"
        met = verdict(figures[0] >= 2)
        rows.append([f"{title}, second process", own, against, show(figures), "2x", met])
    return rows


def memory_target(results):
    above, compared = [], 0
    for name, held in measured(results).items():
        ours, theirs = (held.get(n, {}).get("peak") for n in ("staghorn", "keras-jax"))
        if ours and theirs:
            compared += 1
            if statistics.median(ours) > statistics.median(theirs):
                above.append(name)
    if not compared:
        return []
    shown = f"above on {', '.join(above)}" if above else f"not above on any of {compared}"
    against = CONTENDERS["keras-jax"].title
    return [["peak memory", "below", against, shown, "never above", verdict(not above)]]


def everyone(results):
    rows = []
    for name, held in measured(results).items():
        if not PROGRAMS[name].some:
            continue
        for contender, result in held.items():
            own, ours = middle(result), held.get("staghorn", {"some": []})["some"]
            figures = median_range(ratios(result["some"], ours))
            note = result.get("failed", "left early" if result.get("hopeless") else "")
            shown = "" if contender == "staghorn" else show(figures)
            time = "failed" if own is None else f"{own:.4g}"
            used = "" if own is None else f"{middle(result, processor):.4g}"
            who = CONTENDERS[contender].title
            rows.append([name, who, time, used, shown, note.replace("|", "/")])
    return table(["program", "contender", "ms", "ms of the cores", "ratio", "note"], rows)


def grid(results, figure, form):
    """A table of programs by contenders."""
    held = measured(results)
    names = [n for n in CONTENDERS if any(n in contenders for contenders in held.values())]
    rows = []
    for program, contenders in held.items():
        cells = [figure(contenders[n]) if n in contenders else None for n in names]
        rows.append([program, *("" if c is None else form.format(c) for c in cells)])
    return table(["program", *(CONTENDERS[n].title for n in names)], rows)


def first_runs(results):
    def figure(result):
        return statistics.median(result["first"]) if result["first"] else None

    text, place = grid(results, figure, "{:.3g}"), results["about"]["effort"] == "full"
    lines = text.split("\n")
    if len(lines) < 3:
        return text
    ends = ["epochs |", "--- |"] + [
        f"{PROGRAMS[line.split(' | ')[0].strip('| ')].whole[place]} |" for line in lines[2:]
    ]
    return "\n".join(f"{a} {b}" for a, b in zip(lines, ends, strict=True))


def startup(results):
    held = results["parts"].get("startup", {}).get("results", {})
    titles = {
        "import": "import",
        "help": "command",
        "cold": "first fit, first process",
        "warm": "first fit, second process",
    }
    rows = [
        [titles[kind], CONTENDERS[n].title if n in CONTENDERS else n, show(median_range(times))]
        for kind in titles
        for n, times in held.get(kind, {}).items()
    ]
    return table(["what", "who", "seconds"], rows)


def quality(results):
    rows = []
    for program, held in measured(results).items():
        for key in next((r["quality"][0] for r in held.values() if r["quality"]), {}):
            if PROGRAMS[program].unit == "epoch":
                cells = [
                    f"{CONTENDERS[n].title} {statistics.fmean(q[key] for q in r['quality']):.4f}"
                    for n, r in held.items()
                    if r["quality"]
                ]
                rows.append([program, key, ", ".join(cells)])
    return table(["program", "what", "reached"], rows)


def growth(results):
    rows = []
    for name, curves in results["parts"].get("growth", {}).get("results", {}).items():
        for curve, points in curves.items():
            fixed, slope, off = line_of(points)
            sizes = ", ".join(
                f"{x:,}: {y:.3g}" for x, y in zip(points["x"], points["ms"], strict=True)
            )
            line = [f"{fixed:.3g}", f"{slope:.3g}", f"{100 * off:.0f} %"]
            rows.append([CONTENDERS[name].title, curve, sizes, *line])
    head = ["who", "against", "size: ms", "fixed (ms)", "one more (ms)", "off the line by at most"]
    return table(head, rows)


# The page --------------------------------------------------------------------------------------

TARGET_HEAD = ["what", "Staghorn", "against", "ratio", "target", ""]


def as_text(results):
    """The table of targets, for the terminal."""
    return table(TARGET_HEAD, targets(results))


def render(results):
    """Return the page, without what is kept."""
    about, parts = results["about"], results["parts"].values()
    dates = sorted({part["date"] for part in parts})
    load = max((part["load"] for part in parts), default=0.0)
    busy = f"; others used it meanwhile (load {load:.1f} at the start)" if load > 1 else ""
    return PAGE.format(
        effort=about["effort"],
        dates=" to ".join(dict.fromkeys([dates[0], dates[-1]])) if dates else "nothing measured",
        machine=about["machine"],
        load=busy,
        versions=", ".join(f"{name} {version}" for name, version in about["versions"].items()),
        command=f"make bench{' BENCH=--full' if about['effort'] == 'full' else ''}",
        chart=CHART,
        targets=table(TARGET_HEAD, targets(results)),
        everyone=everyone(results),
        whole=first_runs(results),
        startup=startup(results),
        memory=grid(
            results, lambda r: statistics.median(r["peak"]) if r["peak"] else None, "{:.0f}"
        ),
        quality=quality(results),
        growth=growth(results),
    )


MARKS = {
    "jax": ("k", "|"),
    "torch": ("#D55E00", "s"),
    "keras-jax": ("#0072B2", "o"),
    "keras-jax+steps": ("#0072B2", "*"),
    "keras-tensorflow": ("#E69F00", "o"),
    "keras-tensorflow+steps": ("#E69F00", "*"),
    "keras-tensorflow+steps-jit": ("#E69F00", "^"),
    "keras-torch": ("#009E73", "o"),
    "keras-torch+jit": ("#009E73", "*"),
}


def draw(results, path):
    """Draw all ratios, a line per program, on a logarithmic axis."""
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, NullFormatter

    held = {n: r for n, r in measured(results).items() if r.get("staghorn", {}).get("some")}
    held = {n: r for n, r in held.items() if PROGRAMS[n].some}
    figure = Figure(figsize=(8.4, 1.6 + 0.42 * max(len(held), 1)), layout="constrained")
    axes, named = figure.add_subplot(), set()
    for height, contenders in enumerate(reversed(held.values())):
        for name in ("jax", *PEERS):
            if name not in contenders:
                continue
            figures = median_range(ratios(contenders[name]["some"], contenders["staghorn"]["some"]))
            if figures is None:
                continue
            colour, mark = MARKS[name]
            label = None if name in named else CONTENDERS[name].title
            named.add(name)
            axes.plot(figures[1:], [height] * 2, color=colour, linewidth=1, alpha=0.6)
            axes.plot(figures[0], height, mark, color=colour, label=label, markersize=8)
    axes.set_yticks(range(len(held)), list(reversed(held)))
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.axvline(1, color="0.5", linewidth=1)
    axes.set_xlabel("times as long as Staghorn (right of 1: Staghorn is faster)")
    axes.grid(axis="x", alpha=0.3)
    if named:
        figure.legend(loc="outside upper center", ncols=3, frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    with matplotlib.rc_context({"svg.hashsalt": "staghorn"}):
        FigureCanvasSVG(figure).print_svg(path, metadata={"Date": None})


def write(results, folder):
    """Write the page and its chart into a folder; what is kept stays."""
    page = Path(folder) / "benchmarks.md"
    before = page.read_text() if page.is_file() else ""
    _, mark, kept = before.partition(KEPT)
    page.write_text(f"{render(results)}\n{mark or KEPT}{kept or chr(10)}")
    draw(results, page.parent / CHART)
