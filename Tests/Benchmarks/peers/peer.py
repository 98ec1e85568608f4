"""What every peer is: how to get it, what it can run, how it loads a model, and its ways of running it."""
import importlib
import importlib.metadata


class NotForThisPeer(Exception):
    """The peer cannot run this model; the message says why."""


class Peer:
    """Subclasses state the first five and write `load`."""
    key = title = module = package = install = ""
    precision = "fp32"
    # True where results are those of the model's own weights and inputs, and can be compared.
    comparable = True
    # True where a batch above 1 is possible.
    batches = True

    @classmethod
    def version(cls):
        """The installed version, or None where it cannot be imported."""
        try:
            importlib.import_module(cls.module)
            return importlib.metadata.version(cls.package)
        except Exception:  # Any failure of an import means that the peer is not usable here.
            return None

    def environment(self, threads):
        """Variables of the worker's process."""
        return {}

    def prepared_path(self, model, prefix):
        """What `load` takes: the model itself, or a file that `prepare` makes."""
        return model

    def prepare(self, model, prefix, inputs, tools):
        """Makes `prepared_path` ahead of time, once. Raises NotForThisPeer where that cannot be done."""

    def load(self, path, inputs, threads):
        """Loads the model. Returns its ways of running on these inputs by name: functions that return the results."""
        raise NotImplementedError

    def outputs(self, results):
        """Arrays by name; by position where the peer has no names."""
        return {str(position): array for position, array in enumerate(results)}
