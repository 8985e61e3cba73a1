"""Money is ``Decimal`` with two decimals, never float."""

from decimal import Decimal

CENT = Decimal("0.01")


def money(value: Decimal | int | str) -> Decimal:
    """``value`` as an amount with exactly two decimals.

    Raises ``ValueError`` for a number that is not finite or has more than two decimals: nothing here rounds money.
    Raises ``ArithmeticError`` for one that is too large.
    """
    amount = Decimal(value)
    if not amount.is_finite():
        raise ValueError(f"{value} is not an amount of money")
    quantized = amount.quantize(CENT)
    if quantized != amount:
        raise ValueError(f"{value} is not an amount of money: more than two decimals")
    return quantized
