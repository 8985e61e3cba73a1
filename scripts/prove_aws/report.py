"""The report of one run, as Markdown."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from datetime import UTC, datetime

from scripts.prove_aws.proof import Proof

ON_AWS = "The services ran on AWS itself, each in its own role."
ON_EMULATOR = """\
That is an emulator on one machine: it shows that code, Terraform and rights fit together. It does not show what AWS
answers, how fast it is, or what it bills. It speaks plain http (`require_tls=false`), asks for some rights by names of
its own, checks some on `*` only, and has no metrics of SNS, SQS and DynamoDB."""


def report(proof: Proof, where: str, commit: str, failure: BaseException | None) -> str:
    """The text. ``where``: what it ran on. ``failure``: what ended the run early."""
    return "\n".join(_lines(proof, where, commit, failure)) + "\n"


def _lines(proof: Proof, where: str, commit: str, failure: BaseException | None) -> Iterator[str]:
    yield f"# A throw-away stack, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    yield ""
    if failure is None:
        yield "**Every step succeeded, and nothing of the stack is left.**"
    else:
        yield f"**It failed.** {type(failure).__name__}: {failure}"
    yield ""
    yield f"`{'' if proof.on_aws else 'CLOUD=embedded '}ORDERS={proof.orders} make prove-aws` ran on {where},"
    yield f"region {proof.module.stack.region}."
    yield ON_AWS if proof.on_aws else ON_EMULATOR
    yield ""
    runtime = proof.module.variables["lambda_runtime"]
    yield f"It ran commit {commit} with `terraform/aws.tfvars`, on Lambda with {runtime},"
    yield f"under the prefix `{proof.prefix}`. The commands ran on Python {platform.python_version()}."
    for step in proof.steps:
        yield ""
        yield f"## {step.title}"
        yield ""
        yield from (f"    {line}" for line in step.showed)
        yield "    ✘ failed" if step.seconds is None else f"    ✔ {step.seconds:.0f} s"
