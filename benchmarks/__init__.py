"""How much the product costs, as ratios to others measured in the same run. `README.md` has the method."""
