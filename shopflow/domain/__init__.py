"""The pure part: orders, events, money and the stock plan. Standard library only; no clock, no I/O."""
