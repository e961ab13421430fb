"""Drawing a graph: diagrams of its stages, their layout, SVG, and a page to look at them."""
