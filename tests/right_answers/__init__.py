"""For each lab, right answers of other kinds than the reference: RIGHT maps an exercise to at least two functions."""
