"""Pictures to numbers: decode, measure, compare with a baseline, make small."""
