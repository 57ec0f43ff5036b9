"""What every command stands in: found when it is asked for, and every end of it told in one line.

A command is a click command whose function returns its exit code, or None for 0. Its module is
imported only when it runs, so that `joblog --help` and small commands need not wait for pyarrow.
"""

from __future__ import annotations

import contextlib
import errno
import gc
import importlib
import logging
import os
import signal
import sys
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, NoReturn

import click

from collector.errors import ConfigError, Incomplete, JoblogError
from collector.terminal import printable

YOUNG_OBJECTS = 100_000
"""So many new objects make the interpreter look for garbage, not its 700: that comes too often."""

FOR_LIBRARIES = {
    "OPENBLAS_NUM_THREADS": "1",  # numpy's linear algebra is not used here, and starts threads
    # Arrow's memory. What is free for half a minute the system may have when it needs it; given back at once,
    # it would be touched for the first time again by each row group.
    "ARROW_DEFAULT_MEMORY_POOL": "jemalloc",
    "JE_ARROW_MALLOC_CONF": "dirty_decay_ms:30000,muzzy_decay_ms:-1",
}
"""They are told by variables alone, which each reads as it is loaded."""

EXIT_USAGE = 2
EXIT_BUG = 70
EXIT_INTERRUPTED = 128 + signal.SIGINT
EXIT_PIPE = 128 + signal.SIGPIPE


class Lazy(NamedTuple):
    """`place` is `module:attribute`; `help` the line in the list of commands."""

    place: str
    help: str


COMMANDS = {
    "run": Lazy("collector.cli.run:run", "Collect the logs of a volume."),
    "demo": Lazy("collector.cli.demo:demo", "Play some Jobs, collect them, and show what a user gets."),
    "logs": Lazy("collector.cli.query:logs", "Read a Job's or Pod's log back from the destination."),
    "jobs": Lazy("collector.cli.query:jobs", "List the Jobs that are in the destination."),
    "verify": Lazy("collector.cli.query:verify", "Prove that each byte is in the destination once."),
    "status": Lazy("collector.cli.status:status", "Show what a running collector does now."),
    "checkpoints": Lazy("collector.cli.state:checkpoints", "Read and mend checkpoint files."),
    "explain": Lazy("collector.cli.state:explain", "Say why a file is, or is not, collected."),
    "layout": Lazy("collector.cli.layout:layout", "Show what a layout makes of names."),
    "check": Lazy("collector.cli.check:check", "Validate everything before a deploy."),
    "generate": Lazy("collector.cli.generate:generate", "Generate logs, for tests."),
}


@contextlib.contextmanager
def importing() -> Iterator[None]:
    """What is imported meanwhile is never searched for garbage: that takes a tenth of a start."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


class LazyGroup(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, attribute = COMMANDS[cmd_name].place.split(":")
        with importing():
            command = getattr(importlib.import_module(module), attribute)
        if not isinstance(command, click.Command):
            raise TypeError(f"{module}:{attribute} is no command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, lazy.help) for name, lazy in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> object:
        """Ends of our own stand here, before click would give them its own exit code or message."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            ctx.exit(EXIT_INTERRUPTED)
        except BrokenPipeError:
            _forget_stdout()
            ctx.exit(EXIT_PIPE)


@click.group(
    cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110}
)
@click.version_option(package_name="joblog-collector", prog_name="joblog", message="%(prog)s %(version)s")
def joblog() -> None:
    """Logs that outlive their Job: collects the logs of Kubernetes Jobs from a shared volume.

    \b
    Exit codes: 0 done and complete; 1 incomplete; 2 usage or configuration;
    3 destination; 4 state folder, or another collector took over; 70 a bug.
    """


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command line and returns its exit code; by default that of the process, which ends with it."""
    if arguments is None:
        for name, value in FOR_LIBRARIES.items():
            os.putenv(name, value)
        gc.set_threshold(YOUNG_OBJECTS)
        _leave(_run(sys.argv[1:]))
    return _run(arguments)


def _run(arguments: Sequence[str]) -> int:
    try:
        code = joblog.main(arguments, prog_name="joblog", standalone_mode=False)
        if sys.stdout is not None:  # it was closed before the start: `>&-`
            sys.stdout.flush()
    except (KeyboardInterrupt, click.Abort):
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        _forget_stdout()
        return EXIT_PIPE
    except OSError as error:
        return tell(_of_output(error))
    except Exception as error:  # noqa: BLE001 - the last net: each end is told in one line
        return tell(error)
    return code if isinstance(code, int) else 0


def _leave(code: int) -> NoReturn:
    """Ends the process as it is. The interpreter would first take apart all there is, which is of no use to
    anybody: a command has returned, so its threads have ended, and what it wrote is closed.
    """
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            with contextlib.suppress(OSError):  # it was told where that could be told
                stream.flush()
    os._exit(code)


def tell(error: BaseException) -> int:
    """Writes the error line and returns the exit code."""
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        click.echo(error.format_message(), err=True)
        return EXIT_USAGE
    if isinstance(error, JoblogError):
        message, code = _lines(error), error.exit_code
    elif isinstance(error, click.ClickException):
        message, code = _usage(error), EXIT_USAGE
    else:
        message, code = _bug(error), EXIT_BUG
    with contextlib.suppress(OSError):  # stderr is gone too: there is nobody left to tell
        print(f"joblog: error: {message}", file=sys.stderr, flush=True)  # noqa: T201 - this is the error line
    return code


def _lines(error: JoblogError) -> str:
    """One line, but for the faults of a configuration, which stand on a line each."""
    if isinstance(error, ConfigError):
        return "\n".join(printable(line) for line in str(error).split("\n"))
    return printable(str(error))


def _usage(error: click.ClickException) -> str:
    message = printable(error.format_message().rstrip("."))
    context = error.ctx if isinstance(error, click.UsageError) else None
    return f"{message}: see '{context.command_path} --help'" if context else message


def _bug(error: BaseException) -> str:
    # The environment is read by config alone; it is imported here because it is slow to import.
    from collector.config import environment  # noqa: PLC0415 - see above

    if environment().get("JOBLOG_DEBUG") == "1":
        return f"a bug:\n{''.join(traceback.format_exception(error))}"
    frames = traceback.extract_tb(error.__traceback__)
    place = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "?"
    return printable(f"a bug: {type(error).__name__} at {place}: {error}: JOBLOG_DEBUG=1 shows the traceback")


def _of_output(error: OSError) -> Exception:
    """What `error` was about, where our own output cannot be written (a full disk): else the error itself.

    What could not be written fails again, unless Python runs unbuffered. Rooms name the file in their errors.
    """
    failed = error.errno == errno.ENOSPC and error.filename is None
    try:
        sys.stdout.flush()
    except OSError:
        failed = True
        _forget_stdout()
    if not failed:
        return error
    return Incomplete(
        f"the output cannot be written: {os.strerror(error.errno or 0)}", hint="write it elsewhere"
    )


def _forget_stdout() -> None:
    """Whoever read our output is gone; so that the interpreter does not fail on it at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
