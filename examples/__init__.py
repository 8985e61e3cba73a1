"""Services that ShopFlow does not need, to show what a new one takes."""
