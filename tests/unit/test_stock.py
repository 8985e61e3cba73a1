"""The plan for a batch of orders."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from shopflow.domain.order import Order
from shopflow.domain.stock import Product, first_chunk, plan
from tests.conformance.samples import a_line, an_order


def _stock(**units: int) -> dict[str, Product]:
    return {name: Product(name, f"Name of {name}", Decimal("1.00"), count, count) for name, count in units.items()}


def test_a_refusal_names_the_product_what_was_available_and_what_was_asked() -> None:
    order = an_order(a_line("A", 5))
    reason = plan([order], [], _stock(A=3)).refused[order.order_id]
    assert reason == "Insufficient stock for Wireless Headphones (A): available 3, requested 5"
    assert "does not exist" in plan([order], [], {}).refused[order.order_id]


def test_a_release_returns_its_units_before_the_same_plan_reserves() -> None:
    declined, first, second = (an_order(a_line("A", units)) for units in (5, 3, 3))
    decided = plan([first, second], [declined], _stock(A=0))
    assert (decided.stock, list(decided.refused)) == ({"A": 2}, [second.order_id])
    assert plan([], [an_order(a_line("A", 2), a_line("B", 7))], _stock(A=0, B=0)).stock == {"A": 2, "B": 7}


def test_a_chunk_fits_into_one_transaction() -> None:
    orders = [an_order(*(a_line(f"P{n}-{m}", 1) for m in range(50))) for n in range(3)]
    assert len(first_chunk(orders, 100)) == 1
    assert len(first_chunk(orders, 102)) == 2
    shared = [an_order(*(a_line(f"P-{m}", 1) for m in range(50))) for n in range(3)]
    assert len(first_chunk(shared, 100)) == 3


_orders = st.lists(
    st.dictionaries(st.sampled_from("ABC"), st.integers(1, 5), min_size=1).map(
        lambda wanted: an_order(*(a_line(name, units) for name, units in wanted.items()))
    ),
    max_size=10,
)


@given(_orders, st.fixed_dictionaries({name: st.integers(0, 12) for name in "ABC"}))
def test_no_plan_takes_more_than_there_is_and_every_refusal_is_true(orders: list[Order], units: dict[str, int]) -> None:
    decided = plan(orders, [], _stock(**units))
    left = dict(units)
    for order in orders:
        fits = all(left[wanted.product_id] >= wanted.quantity for wanted in order.lines)
        assert fits is (order.order_id not in decided.refused)
        if fits:
            for wanted in order.lines:
                left[wanted.product_id] -= wanted.quantity
    assert min(left.values()) >= 0
    assert {name: left[name] - units[name] for name in units if units[name] != left[name]} == decided.stock
