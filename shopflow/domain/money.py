"""Money is ``Decimal`` with two decimals, never float."""

from decimal import Decimal

CENT = Decimal("0.01")


def money(value: Decimal | int | str) -> Decimal:
    """``value`` as an amount with exactly two decimals.

    Raises ``ValueError`` when it has more than two: rounding money is a decision, and nobody here makes it.
    """
    amount = Decimal(value)
    quantized = amount.quantize(CENT)
    if quantized != amount:
        raise ValueError(f"{value} is not an amount of money: more than two decimals")
    return quantized
