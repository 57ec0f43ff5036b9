"""Every error that Joblog raises on purpose, with its consequence.

    JoblogError                 exit code 70: nobody foresaw it
    ├── Incomplete              1: something could not be collected, or a difference was found
    ├── UsageError              2: the user can mend it in the command line or configuration
    │   ├── ConfigError            configuration file, environment, option
    │   ├── LayoutError            a layout that cannot be understood
    │   └── VolumeError            a volume that is missing or cannot be read
    ├── StoreError              3: the destination
    │   ├── StoreUnavailable       may pass: try again. A put may still have taken effect
    │   ├── StoreDenied            credentials, permissions, quota: tried again, but not soon
    │   ├── StoreMissing           the bucket or folder itself is not there
    │   ├── ObjectMissing          one key is not there
    │   └── ExportDamaged          a record or object that cannot be read
    ├── StateError              4: the state folder
    │   ├── StateLocked            another process holds it
    │   ├── StateDamaged           a checkpoint that cannot be trusted
    │   └── Fenced                 another collector took the shard over
    └── BrokenInvariant         70: a bug. Stops everything, loudly

Foreign exceptions (OSError, botocore, pyarrow, yaml) are translated at the edge where they arise.
"""

from __future__ import annotations


class JoblogError(Exception):
    """An error with one clear line: what happened, where, and what to do.

    `message` says what and where, `hint` what to do; neither ever holds a secret.
    """

    exit_code = 70
    retryable = False

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}: {self.hint}" if self.hint else self.message


class Incomplete(JoblogError):
    exit_code = 1


class UsageError(JoblogError):
    exit_code = 2


class ConfigError(UsageError):
    pass


class LayoutError(UsageError):
    pass


class VolumeError(UsageError):
    pass


class StoreError(JoblogError):
    exit_code = 3


class StoreUnavailable(StoreError):
    retryable = True


class StoreDenied(StoreError):
    retryable = True


class StoreMissing(StoreError):
    retryable = True


class ObjectMissing(StoreError):
    pass


class ExportDamaged(StoreError):
    pass


class StateError(JoblogError):
    exit_code = 4


class StateLocked(StateError):
    pass


class StateDamaged(StateError):
    pass


class Fenced(StateError):
    pass


class BrokenInvariant(JoblogError):
    pass
