"""Everything that can go wrong, as one small hierarchy.

    LegoError
    ├── StoreError          a store is damaged, unreadable, or not a store
    ├── ProfileError        a profile is damaged, incomplete, or of another store or device
    ├── WorkloadError       a workload or a budget makes no sense
    │   └── InfeasibleError no combination of blocks holds the limits
    ├── ConfigError         a setting makes no sense: of a policy, of an executor, or an environment variable
    ├── InputError          an inference request that the model cannot take
    │   └── TooLargeError   a picture that a service has no room to decode
    ├── ClosedError         what is used was closed, or was opened by the process that this one was forked off
    ├── SuspendedError      the plan has no room for this model at the moment
    ├── OverloadedError     a service has more requests than it can serve in time
    ├── ExecutionError      a model could not be opened or run this time: an inference failed, memory is short
    │   ├── CApiError       a call of LiteRT's C API failed
    │   ├── TrialError      a store could not be tried out, for no fault of its own
    │   └── PackingError    packed weights cannot be made or kept; the Interpreter runs the store without them
    ├── ModelError          a model cannot be cut, pruned or exported, or a file cannot be packed
    │   └── TargetError     a block cannot be pruned to its target
    ├── DataError           (offline) training data cannot be used
    ├── WorkerError         (offline) a process or a cluster that works for a build cannot be used, or has ended
    ├── WriteError          a file cannot be written: the disk is full, or it is not allowed
    └── DependencyError     an optional package is not installed

A message is one or two lines: what is wrong, where, and what to do. When an error is raised nothing has been
written and the running plan is untouched. Control characters in names are shown as escapes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from legodnn.printable import printable

if TYPE_CHECKING:
    from legodnn.plan import Infeasible


class LegoError(Exception):
    """The base of all errors that this package raises on purpose."""

    def __str__(self) -> str:
        return printable(super().__str__())


class StoreError(LegoError):
    """A store is damaged, unreadable, or not a store."""


class ProfileError(LegoError):
    """A profile is damaged, incomplete, or was measured on another store or device."""


class WorkloadError(LegoError):
    """A workload or a budget makes no sense."""


class InfeasibleError(WorkloadError):
    """No combination of blocks holds the limits.

    Attributes:
        report: says which limits fall short and by how much.
    """

    def __init__(self, report: Infeasible) -> None:
        super().__init__(str(report))
        self.report = report


class ConfigError(LegoError):
    """A setting makes no sense: a field of a policy, the name of an executor, or an environment variable."""


class InputError(LegoError):
    """An inference request that the model cannot take: unknown model, wrong shape or dtype."""


class TooLargeError(InputError):
    """A picture that a service has no room to decode; the message says what would do."""


class ClosedError(LegoError):
    """What is used has been closed, or was opened by the process that this one was forked off."""


class SuspendedError(LegoError):
    """The plan has no room for this model at the moment."""


class OverloadedError(LegoError):
    """A service has more requests than it can serve in time.

    Attributes:
        retry_after_s: after how many seconds another try is worth it.
    """

    def __init__(self, message: str, retry_after_s: int) -> None:
        super().__init__(f"{message}; try again in {retry_after_s} s")
        self.retry_after_s = retry_after_s
        self._given = message, retry_after_s

    def __reduce__(self) -> tuple[type[OverloadedError], tuple[str, int]]:
        """See `object.__reduce__`: what another process makes it of again is what this was made of."""
        return type(self), self._given


class ExecutionError(LegoError):
    """A model could not be opened or run this time, for no fault of the store or the request; another try may succeed.

    An inference failed while it ran, memory or file descriptors are short, or the process that ran the model ended.
    """


class CApiError(ExecutionError):
    """A call of LiteRT's C API failed; the message names the function and its status."""


class TrialError(ExecutionError):
    """A store could not be tried out, for no fault of its own. It is not run."""


class PackingError(ExecutionError):
    """Packed weights cannot be made or kept. `select.open_executor` then runs the store by the Interpreter."""


class ModelError(LegoError):
    """A Keras model cannot be cut into blocks, pruned or exported, or a `.tflite` file cannot be packed."""


class TargetError(ModelError):
    """A block or model cannot be pruned to its target. The message says the least that can be reached, and why."""


class DataError(LegoError):
    """Training data is missing or cannot be used."""


class WorkerError(LegoError):
    """A process or a cluster that works for a build cannot be reached or used, or has ended in the middle of a job."""


class WriteError(LegoError):
    """A file cannot be written: the disk is full, or it is not allowed. What was there before is unchanged."""


class DependencyError(LegoError):
    """An optional package is not installed. The message names the command that installs it."""
