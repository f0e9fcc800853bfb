"""Public names of Keras 3.15.1 that Staghorn does not have: asking for one says so."""

# fmt: off
NOT_YET: dict[str, tuple[str, ...]] = {
    "staghorn": (
        "applications", "distillation", "distribution", "export",
    ),
}
# fmt: on
