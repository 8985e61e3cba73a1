"""The commands work in every shell: no exported variable redirects a local AWS, and an error is one line.

They run as people run them, by `make` in a clone whose path has blanks.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from scripts.console import Progress
from shopflow.environment import LOOPBACK
from tests.infra.clone import FIRST_START_SECONDS, NOWHERE, Clone
from tests.sizes import full
from tests.stack import prepare

NOBODY = f"http://{LOOPBACK}:9"
"""Nothing listens there."""
COMMANDS = ("e2e", "infra-status", "restock", "verify", "dlq")
"""`make e2e` brings the stack up first."""


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clone]:
    """Its stack was applied already."""
    clone = Clone(tmp_path_factory.mktemp("of a user") / "Shop Flow's copy")
    prepare(clone.stack)
    yield clone
    clone.emulator.kill()


@dataclass(frozen=True, slots=True)
class Shell:
    """Variables that a shell may export. ``home``: files in its home folder. ``{port}`` is that of the local AWS."""

    exported: Mapping[str, str | None] = field(default_factory=dict)
    home: Mapping[str, str] = field(default_factory=dict)

    def variables(self, clone: Clone, home: Path) -> dict[str, str | None]:
        for name, text in self.home.items():
            (home / name).parent.mkdir(exist_ok=True)
            (home / name).write_text(text)
            (home / name).chmod(0o600)
        at_home = {"HOME": str(home)} if self.home else {}
        return at_home | {
            name: value and value.replace("{port}", str(clone.stack.port)) for name, value in self.exported.items()
        }


def every(names: str, value: str) -> dict[str, str | None]:
    return dict.fromkeys(names.split(), value)


PROXIES = every("HTTP_PROXY HTTPS_PROXY http_proxy https_proxy", NOBODY)
AWS = {
    **every("AWS_REGION AWS_DEFAULT_REGION", "eu-west-1"),
    **every("AWS_PROFILE AWS_DEFAULT_PROFILE", "nobody"),
    **every("AWS_ENDPOINT_URL_SNS AWS_ENDPOINT_URL_SQS AWS_ENDPOINT_URL_DYNAMODB AWS_ENDPOINT_URL_IAM", NOBODY),
    **every("AWS_USE_FIPS_ENDPOINT AWS_USE_DUALSTACK_ENDPOINT AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true"),
    **every("AWS_CA_BUNDLE AWS_DATA_PATH AWS_WEB_IDENTITY_TOKEN_FILE", NOWHERE),
    **every("AWS_CONFIG_FILE AWS_SHARED_CREDENTIALS_FILE", NOWHERE),
    **every("AWS_DEFAULTS_MODE AWS_RETRY_MODE AWS_MAX_ATTEMPTS AWS_ACCOUNT_ID_ENDPOINT_MODE", "wrong"),
    **every("AWS_REQUEST_CHECKSUM_CALCULATION AWS_RESPONSE_CHECKSUM_VALIDATION", "wrong"),
    "AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/real",
    "AWS_ACCESS_KEY_ID": "123456789012",  # an emulator takes such a key for an account of its own
    "AWS_SECRET_ACCESS_KEY": "real",
    "AWS_SESSION_TOKEN": "real",
}
RESOURCES = {
    **every("SHOPFLOW_ORDERS_TABLE SHOPFLOW_INVENTORY_TABLE SHOPFLOW_EVENTS_TABLE", "of-another-stack"),
    **every("SHOPFLOW_INVENTORY_QUEUE_URL SHOPFLOW_OTHER_QUEUE_URL SHOPFLOW_API_URL", NOBODY),
    "SHOPFLOW_TOPIC_ARN": "arn:aws:sns:eu-west-1:123456789012:real",
}
SETTINGS = (
    "HOST RELAY RELAY_INTERVAL_SECONDS SQS_WAIT_SECONDS SQS_VISIBILITY_SECONDS CONSUMER_THREADS PAYMENT_SUCCESS_RATE "
    "PAYMENT_SEED OPS_TOKEN METRICS LOG_FORMAT SCALE CLOUD COMPUTE TF_PLUGIN_DIR NO_COLOR DEBUG SHOPFLOW_ENV_FILE "
    "SHOPFLOW_PORT SHOPFLOW_CATALOG_OVERLAY OTEL_EXPORTER_OTLP_ENDPOINT"
)
TERRAFORM = {
    **every("TF_VAR_name_prefix TF_VAR_region TF_VAR_compute TF_WORKSPACE TF_CLI_ARGS TF_CLI_ARGS_apply", "-wrong"),
    **every("TF_DATA_DIR TF_CMD LS_PROVIDERS_FILE", NOWHERE),
    **every("DRY_RUN USE_EXEC TF_INPUT", "1"),
}
EMULATORS = {
    **every("LOCALSTACK_HOST LOCALSTACK_HOSTNAME HOSTNAME", "nowhere.invalid"),
    **every("USE_SSL AUTH", "true"),
    **every("EDGE_PORT GATEWAY_PORT", "9"),
    "SERVICES": "s3",
    "DEFAULT_REGION": "eu-west-1",
    "MINISTACK_ACCOUNT_ID": "1",
}
PYTHON = {
    **every("PYTHONPATH PYTHONHOME PYTHONSTARTUP PYTHONPYCACHEPREFIX", NOWHERE),
    **every("PYTHONSAFEPATH PYTHONINSPECT PYTHONDONTWRITEBYTECODE", "1"),
    "PYTHONOPTIMIZE": "2",
    "PYTHONWARNINGS": "error",
    "PYTHONIOENCODING": "ascii",
    "PIP_USER": "1",
    "PIP_TARGET": NOWHERE,
}
REDIRECTING = AWS | RESOURCES | TERRAFORM | EMULATORS | PYTHON
CERTIFICATES = every("REQUESTS_CA_BUNDLE CURL_CA_BUNDLE SSL_CERT_FILE", NOWHERE)
WRONG_AWS_CONFIG = "[default]\nregion = eu-west-1\nuse_fips_endpoint = true\nca_bundle = /nowhere\n"
WORST = "everything at once"
SHELLS = {
    WORST: Shell(REDIRECTING | PROXIES | CERTIFICATES | {"LC_ALL": "C", "TERM": "dumb"}),
    "a proxy": Shell(PROXIES),
    "a proxy with exceptions": Shell({"HTTP_PROXY": NOBODY, "NO_PROXY": "example.com"}),
    "a SOCKS proxy": Shell(every("ALL_PROXY all_proxy", "socks5://127.0.0.1:9")),
    "no endpoint, but its variable": Shell({"AWS_ENDPOINT_URL": ""}),
    "its own endpoint": Shell({"AWS_ENDPOINT_URL": "http://127.0.0.1:{port}"}),
    "its own endpoint with a slash": Shell({"AWS_ENDPOINT_URL": "http://127.0.0.1:{port}/"}),
    "its own endpoint as localhost": Shell({"AWS_ENDPOINT_URL": "http://localhost:{port}"}),
    "its own endpoint in IPv6": Shell({"AWS_ENDPOINT_URL": "http://[::1]:{port}"}),
    "variables of AWS": Shell(AWS),
    "empty variables of AWS": Shell(dict.fromkeys(AWS, "")),
    "a wrong ~/.aws/config": Shell(home={".aws/config": WRONG_AWS_CONFIG}),
    "a malformed ~/.aws": Shell(home={".aws/config": "no section\n", ".aws/credentials": "none\n"}),
    "a .netrc": Shell(home={".netrc": "default login somebody password secret\n"}),
    "another stack's resources": Shell(RESOURCES),
    "empty resources": Shell(dict.fromkeys(RESOURCES, "")),
    "empty settings": Shell(every(SETTINGS, "")),
    "variables of Terraform": Shell(TERRAFORM),
    "variables of LocalStack": Shell(EMULATORS),
    "variables of Python and pip": Shell(PYTHON),
    "a missing CA bundle": Shell(CERTIFICATES),
    "spans that are switched off": Shell({"OTEL_EXPORTER_OTLP_ENDPOINT": NOBODY, "OTEL_SDK_DISABLED": "true"}),
    "ASCII only": Shell({"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}),
    "a locale that is not installed": Shell({"LC_ALL": "xx_YY.ISO-8859-1"}),
    "a narrow terminal": Shell({"COLUMNS": "1", "LINES": "1", "TERM": "dumb"}),
    "forced colours": Shell({"FORCE_COLOR": "1", "COLUMNS": "0"}),
    "no home": Shell({"HOME": None}),
    "no folder for temporary files": Shell({"TMPDIR": NOWHERE}),
    "parallel make": Shell({"MAKEFLAGS": "-j4"}),
}


@pytest.mark.parametrize(
    "shell", [pytest.param(one, id=name, marks=() if name == WORST else full) for name, one in SHELLS.items()]
)
def test_every_command_works_in_every_shell(clone: Clone, shell: Shell, tmp_path: Path) -> None:
    clone.emulator.kill()  # so that it starts in this shell
    for command in COMMANDS:
        ran = clone.run("make", "-s", command, env=shell.variables(clone, tmp_path))
        assert ran.returncode == 0, f"{command}: {ran.stdout}{ran.stderr}"
        assert "Traceback" not in ran.stdout + ran.stderr


NO_ENDPOINT = {"SHOPFLOW_ENV_FILE": os.devnull} | dict.fromkeys([*RESOURCES, "SHOPFLOW_OPEN_ORDERS_INDEX"], "real")
WRONG_SETTINGS = {
    "a number": ({"PAYMENT_SUCCESS_RATE": "much"}, "PAYMENT_SUCCESS_RATE=much must be a number"),
    "a choice": ({"RELAY": "no"}, "RELAY=no must be one of on, off"),
    "no port": ({"PORT": "0"}, "PORT=0 must be a number from 1"),
    "an unknown host": ({"HOST": "nowhere.invalid"}, "Check HOST and PORT"),
    "a foreign host": ({"HOST": "192.0.2.1"}, "Check HOST and PORT"),
    "an overlay that is not there": ({"SHOPFLOW_CATALOG_OVERLAY": "gone.json"}, "gone.json"),
    "an env file that is not there": ({"SHOPFLOW_ENV_FILE": NOWHERE}, f"SHOPFLOW_ENV_FILE={NOWHERE} is not a file"),
    "OpenTelemetry's": (
        {"OTEL_EXPORTER_OTLP_ENDPOINT": NOBODY, "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": "x"},
        "OTEL_* variables ask for spans, but OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT",
    ),
    "a profile of real AWS": (
        NO_ENDPOINT | {"AWS_PROFILE": "nobody"},
        "profile (nobody) could not be found",
    ),
    "no URL": (NO_ENDPOINT | {"AWS_ENDPOINT_URL": "localhost:4566"}, "AWS_ENDPOINT_URL=localhost:4566 must be a URL"),
}


@pytest.mark.parametrize("module", ["scripts.run_all", pytest.param("scripts.e2e", marks=full)])
@pytest.mark.parametrize(("settings", "said"), WRONG_SETTINGS.values(), ids=WRONG_SETTINGS)
def test_a_wrong_setting_of_a_service_is_one_line_before_any_service_starts(
    clone: Clone, module: str, settings: dict[str, str], said: str
) -> None:
    clone.emulator.start(Progress())
    ran = clone.run(clone.python, "-m", module, env=settings)
    assert (ran.returncode, ran.stdout) == (2, ""), ran.stderr
    (line,) = ran.stderr.splitlines()
    assert said in line


@full
@pytest.mark.timeout(2 * FIRST_START_SECONDS)
def test_a_first_start_applies_terraform_whatever_the_shell_exports(clone: Clone) -> None:
    """Without the proxy and the certificates, which Terraform needs where it downloads its provider."""
    clone.run("make", "-s", "infra-reset")
    shell = REDIRECTING | {"SHOPFLOW_PORT": str(clone.stack.port)}
    ran = clone.run("make", "-s", "infra-up", env=shell, seconds=FIRST_START_SECONDS)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert clone.run("make", "-s", "infra-status").returncode == 0
