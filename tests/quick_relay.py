"""The Order Service with a relay that looks at an order after 3 s already, not after 30: `python -m tests.quick_relay`.

Only the relay closes a declined order, so tests that wait for that would take half a minute each.
"""

from __future__ import annotations

import sys

from api.__main__ import main
from shopflow.messaging import sweep

sweep._FIRST_LOOKS_MS = (3_000, *sweep._FIRST_LOOKS_MS)

if __name__ == "__main__":
    sys.exit(main())
