"""Nodes and the ops that they apply: records, attributes, kinds of lowering, places in source."""
