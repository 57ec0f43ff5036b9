"""Configuration: what wins, what is refused, and where a fault is said to stand."""

from dataclasses import asdict
from pathlib import Path

import pytest

from collector.config import load, load_destination
from collector.config_sections import Config, FreeSpace
from collector.errors import ConfigError, LayoutError

MINIMAL = "to: /export\nvolumes: [{path: /logs}]\n"


def loaded(tmp_path: Path, text: str, overrides=None, environ=None, **more) -> Config:
    file = tmp_path / "joblog.yaml"
    file.write_text(text)
    return load(file, overrides or {}, environ or {}, **more)


def faults(tmp_path: Path, text: str, overrides=None, environ=None, **more) -> list[str]:
    """The lines of the error, without the folder of the file."""
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, text, overrides, environ, **more)
    return [line.strip().replace(f"{tmp_path}/", "") for line in str(caught.value).splitlines()]


def only_fault(tmp_path: Path, text: str, **more) -> str:
    lines = faults(tmp_path, text, **more)
    assert len(lines) == 1, lines
    return lines[0]


def test_defaults_are_those_of_the_contract(tmp_path):
    """A volume and a destination are enough; all else has the documented default."""
    config = loaded(tmp_path, MINIMAL)
    volume = config.volumes[0]
    assert (config.to, config.format, config.compression) == ("/export", "parquet", "zstd")
    assert (config.batch.max_bytes, config.batch.max_age_seconds) == (64 << 20, 30)
    assert asdict(config.limits) == {
        "read_bytes_per_second": None,
        "memory_bytes": 512 << 20,
        "open_files": 4096,
    }
    assert (config.state, config.shards, config.coordinator) == (Path("/var/lib/joblog"), 1, "none")
    assert (config.http, config.http_is_default) == ("127.0.0.1:8080", True)
    assert asdict(volume) == {
        "path": Path("/logs"),
        "name": "default",
        "layout": "subpath",
        "include": ("**",),
        "exclude": (),
        "watch": "auto",
        "poll_interval_seconds": 1,
        "max_line_bytes": 1 << 20,
        "partial_after_seconds": 60,
        "tombstone": "tombstone",
        "complete_after_idle_seconds": 900,
        "multiline": None,
        "redact": (),
        "retention": None,
        "parse": None,
    }


def test_every_key_of_the_contract_is_read(tmp_path):
    """Each key lands in the setting of its name, in the unit that the setting's name says."""
    config = loaded(
        tmp_path,
        """
volumes:
  - path: /mnt/joblogs
    name: node-1.example
    layout: $(POD_NAMESPACE)_$(POD_NAME)
    include: ["*.log"]
    exclude: [debug/, "*.tmp"]
    watch: poll
    poll_interval: 500ms
    max_line_bytes: 64KiB
    partial_after: 5
    tombstone: .done
    complete_after_idle: 1h
to: s3://logs/prod?region=eu-central-1
format: ndjson
compression: gzip
batch: {max_bytes: 1MB, max_age: 1.5s}
limits: {read_bytes_per_second: 10MB, memory: 1GiB, open_files: 100}
state: /state
shards: 4
coordinator: none
http: off
""",
    )
    volume = config.volumes[0]
    assert (volume.name, volume.layout) == ("node-1.example", "$(POD_NAMESPACE)_$(POD_NAME)")
    assert (volume.include, volume.exclude) == (("*.log",), ("debug/", "*.tmp"))
    assert (volume.watch, volume.poll_interval_seconds, volume.max_line_bytes) == ("poll", 0.5, 65536)
    assert (volume.partial_after_seconds, volume.complete_after_idle_seconds) == (5, 3600)
    assert (volume.tombstone, config.to) == (".done", "s3://logs/prod?region=eu-central-1")
    assert (config.batch.max_bytes, config.batch.max_age_seconds) == (1_000_000, 1.5)
    assert (config.limits.read_bytes_per_second, config.limits.memory_bytes) == (10_000_000, 1 << 30)
    assert (config.limits.open_files, config.state, config.shards) == (100, Path("/state"), 4)
    assert (config.http, config.http_is_default) == (None, False)


def test_a_configuration_is_frozen(tmp_path):
    """Nobody changes a setting after it was checked."""
    config = loaded(tmp_path, MINIMAL)
    with pytest.raises(ValueError, match="frozen"):
        config.shards = 2


def test_options_win_over_environment_over_file_over_defaults(tmp_path):
    """Each layer is seen only where the stronger ones are silent."""
    text = MINIMAL + "format: ndjson\nstate: /file\nshards: 2\nbatch: {max_age: 7s}\n"
    environ = {"JOBLOG_STATE": "/environ", "JOBLOG_SHARDS": "3", "JOBLOG_HTTP": "off", "JOBLOG_FORMAT": ""}
    config = loaded(tmp_path, text, {"shards": "4", "state": None, "batch_max_bytes": "1MiB"}, environ)
    assert (config.shards, config.state, config.format, config.http) == (4, Path("/environ"), "ndjson", None)
    assert (config.batch.max_age_seconds, config.batch.max_bytes) == (7, 1 << 20)
    assert config.compression == "zstd"


def test_the_file_can_be_named_by_the_environment(tmp_path):
    """JOBLOG_CONFIG is the file where no option names one."""
    file = tmp_path / "other.yaml"
    file.write_text(MINIMAL)
    assert load(None, {}, {"JOBLOG_CONFIG": str(file)}).to == "/export"


def test_no_file_is_needed(tmp_path):
    """Options alone make a configuration."""
    config = load(None, {"volume": "/logs", "name": "n1", "layout": "kubelet", "to": "/export"}, {})
    assert [(v.path, v.name, v.layout) for v in config.volumes] == [(Path("/logs"), "n1", "kubelet")]


def test_volume_option_replaces_the_list(tmp_path):
    """`--volume` leaves nothing of the file's volumes, and `--layout`, `--name` speak of it."""
    text = "to: /export\nvolumes: [{path: /a, name: a, tombstone: x}, {path: /b, name: b}]\n"
    config = loaded(tmp_path, text, {"volume": "/c", "name": "c"}, {"JOBLOG_LAYOUT": "kubelet"})
    (volume,) = config.volumes
    assert (volume.path, volume.name, volume.layout) == (Path("/c"), "c", "kubelet")
    assert volume.tombstone == "tombstone"


def test_name_speaks_of_the_only_volume_of_the_file(tmp_path):
    """A DaemonSet gives the node's name by JOBLOG_NAME, all else by one file."""
    config = loaded(tmp_path, MINIMAL, {}, {"JOBLOG_NAME": "node-7"})
    assert config.volumes[0].name == "node-7"


def test_name_among_several_volumes_is_a_fault(tmp_path):
    """It cannot be told of which volume it speaks."""
    text = "to: /export\nvolumes: [{path: /a, name: a}, {path: /b, name: b}]\n"
    assert faults(tmp_path, text, {"name": "c"}) == [
        "--name: speaks of one volume: give --volume DIR with it"
    ]
    assert faults(tmp_path, text, {}, {"JOBLOG_LAYOUT": "c"})[0].startswith(
        "JOBLOG_LAYOUT: speaks of one volume"
    )


def test_all_faults_are_reported_together_each_with_its_place(tmp_path):
    """One run of the command shows everything that there is to mend."""
    lines = faults(
        tmp_path,
        """\
to: /export
volumes:
  - path: /logs
    layot: subpath
    poll_interval: fast
    name: a/b
shards: 0
format: parquett
""",
        {"batch_max_age": "soon"},
        {"JOBLOG_HTTP": "8080"},
    )
    assert lines[0] == "7 faults in the configuration"
    assert lines[1] == "joblog.yaml:4:5: volumes[0].layot: unknown key: did you mean layout?"
    places = [
        "joblog.yaml:5:5: volumes[0].poll_interval: should be a duration such as 500ms",
        "joblog.yaml:6:5: volumes[0].name: should be 1 to 63 letters",
        "joblog.yaml:7:1: shards: should be from 1 to 999, not '0'",
        "joblog.yaml:8:1: format: should be 'parquet', 'ndjson' or 'raw', not 'parquett'",
        "JOBLOG_HTTP: http: should be HOST:PORT",
        "--batch-max-age: batch.max_age: should be a duration such as 500ms",
    ]
    assert [
        line[: len(place)] for line, place in zip(sorted(lines[2:]), sorted(places), strict=True)
    ] == sorted(places)
    assert [line.split(":")[1] for line in lines[2:6]] == ["5", "6", "7", "8"]


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ("volumes: [{path: /l, max_line_bytes: 1023}]", "volumes[0].max_line_bytes"),
        ("volumes: [{path: /l, max_line_bytes: 9MiB}]", "volumes[0].max_line_bytes"),
        ("volumes: [{path: /l, poll_interval: 9ms}]", "volumes[0].poll_interval"),
        ("volumes: [{path: /l, poll_interval: -1}]", "volumes[0].poll_interval"),
        ("volumes: [{path: /l, partial_after: 0}]", "volumes[0].partial_after"),
        ("volumes: [{path: /l, complete_after_idle: 999h}]", "volumes[0].complete_after_idle"),
        ("volumes: [{path: /l, tombstone: a/b}]", "volumes[0].tombstone"),
        ("volumes: [{path: /l, tombstone: ..}]", "volumes[0].tombstone"),
        ("volumes: [{path: /l, include: '*.log'}]", "volumes[0].include"),
        ("volumes: [{path: /l, include: [[x]]}]", "volumes[0].include[0]"),
        ("volumes: [{path: /l, watch: fanotify}]", "volumes[0].watch"),
        ("volumes: [{path: ''}]", "volumes[0].path"),
        ("volumes: [{name: x}]", "volumes[0].path"),
        (f"volumes: [{{path: /l, name: {'n' * 64}}}]", "volumes[0].name"),
        ("volumes: [{path: /l, name: -n}]", "volumes[0].name"),
        ("volumes: [/logs]", "volumes[0]"),
        ("volumes: /logs", "volumes"),
        ("batch: {max_bytes: 63KiB}", "batch.max_bytes"),
        ("batch: {max_bytes: 2GiB}", "batch.max_bytes"),
        ("batch: 5", "batch"),
        ("limits: {memory: 255MiB}", "limits.memory"),
        ("limits: {open_files: 15}", "limits.open_files"),
        ("limits: {open_files: 1.5}", "limits.open_files"),
        ("limits: {read_bytes_per_second: 0}", "limits.read_bytes_per_second"),
        ("shards: 1000", "shards"),
        ("shards: many", "shards"),
        ("http: 'on'", "http"),
        ("http: localhost:70000", "http"),
        ("compression: lz4", "compression"),
        ("state: ''", "state"),
    ],
)
def test_values_out_of_bounds_are_faults_of_their_key(tmp_path, line, key):
    """Each bound of the settings holds, and the fault names the key."""
    base = {"to": "to: /export", "volumes": "volumes: [{path: /logs}]"}
    base[line.split(":")[0]] = line
    fault = only_fault(tmp_path, "\n".join(base.values()) + "\n")
    assert fault.startswith("joblog.yaml:")
    assert f": {key}: " in fault


@pytest.mark.parametrize(
    "http",
    ["127.0.0.1:0", "[::1]:8080", "localhost:9", "0.0.0.0:65535"],
)
def test_http_addresses(tmp_path, http):
    """Host names, IPv4 and bracketed IPv6 addresses are taken as they are."""
    assert loaded(tmp_path, MINIMAL + f"http: '{http}'\n").http == http


def test_yaml_words_are_only_text(tmp_path):
    """`off`, dates and numbers need no quotes: no value changes its meaning by how YAML reads it."""
    config = loaded(
        tmp_path, "to: 2026-11-22\nvolumes: [{path: 1e3, name: 007, tombstone: off}]\nhttp: off\n"
    )
    volume = config.volumes[0]
    assert (config.to, volume.path, volume.name, volume.tombstone) == (
        "2026-11-22",
        Path("1e3"),
        "007",
        "off",
    )
    assert config.http is None


def test_empty_values_mean_the_default(tmp_path):
    """A section whose lines are all commented out is no fault."""
    config = loaded(tmp_path, MINIMAL + "batch:\nlimits: {memory: null, read_bytes_per_second: ~}\nhttp:\n")
    assert (config.batch.max_bytes, config.limits.memory_bytes) == (64 << 20, 512 << 20)
    assert config.http_is_default


def test_retention_is_read_with_its_units(tmp_path):
    """A duration, and a share or a size; each alone is enough, and none is the default."""
    retentions = ("{delete_after: 24h, free_space: 10%}", "{free_space: 20GiB}", "{delete_after: 0}", "")
    both, space, now, none = [
        loaded(tmp_path, f"to: /export\nvolumes:\n- path: /logs\n  retention: {text}\n").volumes[0].retention
        for text in retentions
    ]
    assert (both.delete_after_seconds, both.free_space) == (86400, FreeSpace(percent=10))
    assert (space.delete_after_seconds, space.free_space) == (None, FreeSpace(size_bytes=20 << 30))
    assert (now.delete_after_seconds, none) == (0, None)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("{delete_afer: 24h}", ".delete_afer: unknown key: did you mean delete_after?"),
        ("{}", ": should have delete_after, free_space, or both"),
        ("{free_space: 100%}", ".free_space: should be more than 0% and less than 100%, not '100%'"),
        (
            "{free_space: much}",
            ".free_space: should be a share such as 10%, or a size such as 20GiB, not 'much'",
        ),
        ("{delete_after: never}", ".delete_after: should be a duration"),
    ],
)
def test_faults_of_retention_have_their_place(tmp_path, text, fault):
    """Deleting is not a thing to guess at."""
    lines = faults(tmp_path, f"to: /export\nvolumes:\n- path: /logs\n  retention: {text}\n")
    assert any(f"volumes[0].retention{fault}" in line for line in lines), lines


@pytest.mark.parametrize("value", ["file", "kubernetes"])
def test_coordinators_of_later_versions_are_refused(tmp_path, value):
    """Only `none` is there in this version."""
    fault = only_fault(tmp_path, MINIMAL + f"coordinator: {value}\n")
    assert fault == f"joblog.yaml:3:1: coordinator: '{value}' is not supported by this version: leave it out"


def test_an_unknown_key_far_from_all_shows_the_known_ones(tmp_path):
    """Where nothing is near, the known keys are listed."""
    fault = only_fault(tmp_path, MINIMAL + "batch: {zzz: 1}\n")
    assert fault.endswith("batch.zzz: unknown key: known are max_age, max_bytes")


def test_names_of_code_are_no_keys(tmp_path):
    """A setting has one name in the file: that of the contract."""
    fault = only_fault(tmp_path, MINIMAL + "batch: {max_age_seconds: 1}\n")
    assert fault.endswith("batch.max_age_seconds: unknown key: did you mean max_age?")


def test_several_volumes_need_names_of_their_own(tmp_path):
    """Two volumes of one name would write one sequence."""
    lines = faults(tmp_path, "to: /e\nvolumes: [{path: /a}, {path: /b, name: n}, {path: /c, name: n}]\n")
    assert lines[1].endswith("volumes[0].name: is required where there are several volumes")
    assert lines[2].endswith("volumes[2].name: another volume has the name 'n'")


def test_volumes_and_destination_are_required(tmp_path):
    """What is missing is said with the three ways to give it."""
    lines = faults(tmp_path, "{}")
    assert (
        lines[1] == "joblog.yaml: to: there is no destination: give --to URL, JOBLOG_TO, or `to:` in the file"
    )
    assert lines[2].startswith(
        "joblog.yaml: volumes: there is no volume: give --volume DIR, JOBLOG_VOLUME, or"
    )


def test_what_only_a_room_understands_is_a_fault_of_its_place(tmp_path):
    """A layout's parser is asked for each layout of the right shape; its error stands beside all others."""

    def refuse(layout: str) -> None:
        raise LayoutError(f"{layout!r} is no layout", hint="see docs")

    text = "to: /export\nshards: 0\nvolumes:\n"
    text += "  - path: /l\n    layout: '{'\n  - {path: /m, name: m, layout: [x]}\n"
    lines = faults(tmp_path, text, {}, meanings={"volumes.layout": refuse, "shards": refuse})
    assert lines[0] == "4 faults in the configuration"
    assert "joblog.yaml:5:5: volumes[0].layout: '{' is no layout: see docs" in lines
    assert any("volumes[1].layout: should be text" in line for line in lines)


def test_a_destination_can_be_read_alone(tmp_path):
    """Commands that read back need no volume in their file, but a sound file."""
    file = tmp_path / "joblog.yaml"
    file.write_text("to: s3://bucket/${TEAM}\n")
    assert load_destination(file, {"TEAM": "blue", "JOBLOG_NAME": "n"}) == "s3://bucket/blue"
    assert load_destination(None, {"JOBLOG_TO": "/export"}) == "/export"
    file.write_text("to: /export\nfrmat: raw\n")
    with pytest.raises(ConfigError, match="did you mean format"):
        load_destination(file, {})
    with pytest.raises(ConfigError, match="there is no destination"):
        load_destination(None, {})


def test_no_value_of_a_variable_or_destination_is_shown(tmp_path):
    """Faults show what the file says, never what was filled in: it may be a secret."""
    lines = faults(tmp_path, MINIMAL + "shards: ${TOKEN}\nhttp: x${TOKEN}\n", environ={"TOKEN": "s3cret"})
    assert "s3cret" not in "\n".join(lines)
    assert lines[1].endswith("not '${TOKEN}'")


def test_control_characters_do_not_reach_the_message(tmp_path):
    """A key or value cannot forge a line or move the cursor."""
    lines = faults(tmp_path, MINIMAL + '"a\\nb\\e[2J": 1\nformat: "x\\ny"\n')
    assert len(lines) == 3
    assert not any("\x1b" in line for line in lines)
