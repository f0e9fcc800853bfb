"""All numbers of a model as one tree of names, and its loss as a pure function of them."""

from collections.abc import Callable
from typing import Any

from staghorn.engine.arguments import Options, check_values
from staghorn.engine.scope import functionalize
from staghorn.engine.variable import Variable

KINDS = (
    "trainable_variables",
    "non_trainable_variables",
    "optimizer_variables",
    "metrics_variables",
)


class StateTree:
    """Methods of `Model` that hand its state out and take it in."""

    def _variables_of(self, kind: str) -> list[Variable]:
        owner: Any = self
        if kind != "optimizer_variables":
            return getattr(owner, kind)
        return owner.optimizer.variables if owner.optimizer is not None else []

    def get_state_tree(self, value_format: str = "backend_tensor") -> dict[str, Any]:
        """Return the values of all variables, by kind and then by the parts of their paths.

        Args:
            value_format: "backend_tensor" for arrays of JAX, "numpy_array" for NumPy's. Default:
                "backend_tensor".

        Raises:
            ValueError: if two variables have one path; give the layers names of their own.

        Example:
            >>> model = staghorn.Sequential([staghorn.Input((4,)), staghorn.layers.Dense(2)])
            >>> model.compile("sgd", "mse")
            >>> list(model.get_state_tree())[:2]
            ['trainable_variables', 'non_trainable_variables']
        """
        table = {"value_format": Options("backend_tensor", "numpy_array")}
        check_values("get_state_tree", table, {"value_format": value_format})
        trees: dict[str, Any] = {}
        for kind in KINDS:
            trees[kind] = {}
            for variable in self._variables_of(kind):
                *outer, name = variable.path.split("/")
                branch = trees[kind]
                for part in outer:
                    branch = branch.setdefault(part, {})
                if name in branch:
                    raise ValueError(
                        f"get_state_tree: two {kind} have the path '{variable.path}'. Give the "
                        "layers names of their own: Dense(2, name=...)."
                    )
                numpy = value_format == "numpy_array"
                branch[name] = variable.numpy() if numpy else variable.value
        return trees

    def set_state_tree(self, state_tree: dict[str, Any]) -> None:
        """Assign what `get_state_tree` returned, or some branches of it.

        Args:
            state_tree: kind → tree of values; paths that the model does not have are passed over.

        Raises:
            ValueError: if a kind is unknown.

        Example:
            >>> model = staghorn.Sequential([staghorn.Input((4,)), staghorn.layers.Dense(2)])
            >>> tree = model.get_state_tree("numpy_array")
            >>> model.set_state_tree({"trainable_variables": tree["trainable_variables"]})
        """
        for kind, branches in state_tree.items():
            check_values("set_state_tree", {"kind": Options(*KINDS)}, {"kind": kind})
            for variable in self._variables_of(kind):
                found: Any = branches
                for part in variable.path.split("/"):
                    found = found.get(part) if isinstance(found, dict) else None
                if found is not None:
                    variable.assign(found)

    def stateless_compute_loss(
        self,
        trainable_variables: list[Any],
        non_trainable_variables: list[Any],
        metrics_variables: list[Any],
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> tuple[Any, tuple[list[Any], list[Any], list[Any]]]:
        """Compute the loss as a pure function: state in, state out, nothing changes.

        Args:
            trainable_variables: values, in the order of the property of this name.
            non_trainable_variables: the same for the other variables.
            metrics_variables: the same for those of the metrics.
            x, y, y_pred, sample_weight, training: as in `compute_loss`.

        Returns:
            `(loss, (trainable_variables, non_trainable_variables, metrics_variables))`.

        Example:
            >>> model = staghorn.Sequential([staghorn.Input((4,)), staghorn.layers.Dense(2)])
            >>> model.compile("sgd", "mse")
            >>> state = [v.value for v in model.trainable_variables]
            >>> y = np.zeros((3, 2), "float32")
            >>> loss, _ = model.stateless_compute_loss(state, [], [], None, y, y + 1)
            >>> float(loss)
            1.0
        """
        owner: Any = self
        given = [trainable_variables, non_trainable_variables, metrics_variables]
        loss, new = self._purely(
            lambda: owner._compute_loss(x, y, y_pred, sample_weight, training), given
        )
        return loss, (new[0], new[1], new[2])

    def _purely(self, fn: Callable[[], Any], given: list[list[Any]]) -> tuple[Any, list[list[Any]]]:
        """Run `fn` on values of some Variables; return its result and their new values.

        Args:
            fn: any function over the model.
            given: values of the trainable, the other, the metrics' and the optimizer's Variables,
                as many of each as are at hand.
        """
        kinds = (*(kind for kind in KINDS if kind != "optimizer_variables"), "optimizer_variables")
        groups = [self._variables_of(kind)[: len(g)] for kind, g in zip(kinds, given, strict=False)]
        pure = functionalize(fn, [variable for group in groups for variable in group])
        values = [v for group, g in zip(groups, given, strict=True) for v in g[: len(group)]]
        out, new = pure(values)
        rest = iter(new)
        return out, [[next(rest) for _ in group] for group in groups]

    def compute_loss_and_updates(
        self,
        trainable_variables: list[Any],
        non_trainable_variables: list[Any],
        metrics_variables: list[Any],
        x: Any,
        y: Any,
        sample_weight: Any,
        training: bool = False,
        optimizer_variables: list[Any] | None = None,
    ) -> tuple[Any, tuple[Any, Any, list[Any], list[Any]]]:
        """Call the model and compute its loss as a pure function, to be given to `jax.grad`.

        Args:
            trainable_variables, non_trainable_variables, metrics_variables: values, in the order
                of the properties of these names.
            x, y, sample_weight: a batch.
            training: whether the model trains; then the loss is scaled, where the optimizer scales
                it. Default: False.
            optimizer_variables: values of `optimizer.variables`. Default: None, those of now.

        Returns:
            `(loss, (unscaled_loss, y_pred, non_trainable_variables, metrics_variables))`.

        Example:
            >>> import jax
            >>> model = staghorn.Sequential([staghorn.Input((4,)), staghorn.layers.Dense(2)])
            >>> model.compile("sgd", "mse")
            >>> state = [v.value for v in model.trainable_variables]
            >>> x, y = np.ones((3, 4), "float32"), np.ones((3, 2), "float32")
            >>> loss_fn = jax.value_and_grad(model.compute_loss_and_updates, has_aux=True)
            >>> (loss, aux), gradients = loss_fn(state, [], [], x, y, None, training=True)
            >>> [g.shape for g in gradients]
            [(4, 2), (2,)]
        """
        owner: Any = self
        given = [trainable_variables, non_trainable_variables, metrics_variables]

        def forward() -> tuple[Any, Any, Any]:
            y_pred = owner._forward(x, training=training)
            loss = owner._compute_loss(x, y, y_pred, sample_weight, training)
            scales = training and owner.optimizer is not None
            return owner.optimizer.scale_loss(loss) if scales else loss, loss, y_pred

        optimizer = [] if optimizer_variables is None else [optimizer_variables]
        (scaled, loss, y_pred), new = self._purely(forward, given + optimizer)
        return scaled, (loss, y_pred, new[1], new[2])
