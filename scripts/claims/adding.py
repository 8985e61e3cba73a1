"""Claim 3: a service is added, and no existing one changes."""

from __future__ import annotations

import subprocess
from dataclasses import replace

from scripts.claims.lab import MUG, Lab, Told, Verdict
from scripts.console import CommandError
from scripts.e2e import wait_for
from scripts.infra.lifecycle import up
from scripts.infra.stack import ROOT
from scripts.services import service_commands
from shopflow.catalog import load_catalog
from shopflow.ports import AuditEntry

OVERLAY = ROOT / "examples" / "fraud" / "catalog.json"
LARGE = 100
FLAG_SECONDS = 30


def added_service(lab: Lab) -> Verdict:
    """The overlay of a fifth service is switched on: Terraform makes its queue, its process starts."""
    whole = load_catalog(OVERLAY)
    new = whole.services.keys() - lab.running.catalog.services.keys()
    if not new:
        raise CommandError("the service of examples/fraud is on already: unset SHOPFLOW_CATALOG_OVERLAY first")
    (name,) = new
    (flag,) = whole.events.keys() - lab.running.catalog.events.keys()
    lab.stock(MUG, LARGE)
    git, before = _git_status(), lab.running.supervisor.pids()
    lab.step("We switch on examples/fraud. Terraform makes its queue: that takes about a minute.")
    settings = {**lab.running.env, "SHOPFLOW_CATALOG_OVERLAY": str(OVERLAY)}
    labels: list[str] = []
    try:
        up(lab.running.stack, settings, Told(lab))
        lab.step("We restart the Audit Service alone: it checks every event, so it has to know the new one's contract.")
        lab.running.supervisor.restart("audit")
        for command in service_commands(whole):
            if command.service == name:
                labels.append(command.label)
                lab.running.supervisor.add(replace(command, env=lab.running.supervisor.env_of("audit")))
        lab.step(f"We order {LARGE} mugs for ${LARGE * MUG.price}.")
        order_id = lab.order(LARGE)

        def flags() -> list[AuditEntry]:
            return [entry for entry in lab.running.aws.audit.trail(order_id) if entry.event.event_type == flag]

        found = wait_for(flags, bool, FLAG_SECONDS)
        for entry in found:
            lab.evidence(f"in the audit trail of {order_id}", f"{flag}: {'; '.join(entry.event.payload['reasons'])}")
        lab.ended([order_id])
        calm = lab.untouched(before, ["audit"])
        pids = ", ".join(f"{label} {pid}" for label, pid in before.items() if label != "audit")
        lab.evidence("the same processes as before", f"{pids}: {'yes' if calm else 'no'}")
        clean = _git_status() == git
        if git is not None:
            lab.evidence("git status", "unchanged" if clean else "changed")
    finally:
        lab.step("We put everything back: its process stops, Terraform removes its queue.")
        lab.running.supervisor.remove(labels)
        up(lab.running.stack, {**lab.running.env, "SHOPFLOW_CATALOG_OVERLAY": ""}, Told(lab))
        lab.running.supervisor.restart("audit")
    holds = len(found) == 1 and calm and clean
    return Verdict(holds, "The order was flagged. No file changed, and no service but audit was restarted.")


def _git_status() -> str | None:
    """None: this is no git clone, or there is no git."""
    try:
        answer = subprocess.run(["git", "status", "--porcelain"], cwd=ROOT, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None
    return answer.stdout if answer.returncode == 0 else None
