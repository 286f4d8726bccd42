"""Matrix products: the tiles, the registers, and the products that are made of them."""
