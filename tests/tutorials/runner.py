"""`python runner.py script.py`: `staghorn run script.py` where nothing of Keras can be imported.

The test environment has keras (the oracle). Here it, TensorFlow, pydot and Graphviz are hidden from
a script as they are after an installation of Staghorn alone.
"""

import sys
from importlib.abc import MetaPathFinder

HIDDEN = ("graphviz", "keras", "pydot", "pydotplus", "pygraphviz", "tensorflow", "tf_keras")


class Absent(MetaPathFinder):
    """Stands behind Staghorn's own finder: what Staghorn does not answer is not installed."""

    def find_spec(self, fullname, path=None, target=None):
        if fullname.partition(".")[0] in HIDDEN:
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)


def main():
    sys.meta_path.insert(0, Absent())
    from staghorn.cli import main as staghorn

    status = staghorn(["run", *sys.argv[1:]])
    for name, module in sys.modules.items():
        if name.partition(".")[0] in HIDDEN and getattr(module, "__file__", None):
            print(f"{name} was imported from {module.__file__}", file=sys.stderr)
            return 99
    return status


if __name__ == "__main__":
    sys.exit(main())
