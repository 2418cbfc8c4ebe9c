"""The version of the metrics: part of the identity of all that holds a score. Free of torch."""

METRIC_VERSION = 1  # raise when a score of the same network on the same list would change
