"""A page that holds its graphs, the script that draws them, and nothing from elsewhere."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping, Sequence
from string import Template

from graphc.drawing.diagram import Diagram
from graphc.drawing.engine import SCRIPTS, Placed, asset, place_all
from graphc.inspect.stage import Stage

DAGRE_LICENSE = "dagre.LICENSE"


def panel_style() -> str:
    """The CSS of all panels of a page, light and dark."""
    return asset("drawing.css") + asset("panel.css")


def panel_script() -> str:
    """The JavaScript of all panels of a page, to stand in one <script> behind them.

    It starts every `.graph-panel` that is visible, and others once the page shows them and
    dispatches `graphc:shown` on the document. A click on a node dispatches `graphc:select` with
    {kernel, node} on the panel; `element.graphPanel.focusKernel(name)` shows a kernel.
    """
    license_text = f"/*! dagre\n{asset(DAGRE_LICENSE)}*/\n"
    scripts = "\n".join(asset(name) for name in (*SCRIPTS, "panel.js"))
    return license_text + scripts.replace("</script", "<\\/script")


def graph_panel(diagrams: Sequence[Diagram], name: str) -> str:
    """An HTML fragment that shows the diagrams side by side; on a phone one below the other.

    name: its id in the page. The fragment needs panel_style() and panel_script() once a page. Its
    data are a list of {diagram, view, layout}: what Diagram.as_dict gives; the boxing and the
    collapsed boxes of the first view; and its layout in pixels. Nodes of one key are linked on
    hover. Raises MissingExtraError without mini-racer.
    """
    return _Panels().panel(diagrams, name)


def page_text(title: str, stages: Mapping[Stage, Sequence[Diagram]]) -> str:
    """The page of a script: a tab a stage. Raises MissingExtraError without mini-racer."""
    tabs = "".join(
        f'<button type="button" role="tab" data-panel="{stage.value}">{stage.value}</button>'
        for stage in stages
    )
    panels = _Panels()
    texts = [panels.panel(diagrams, stage.value) for stage, diagrams in stages.items()]
    return Template(asset("page.html")).substitute(
        title=html.escape(title),
        style=asset("page.css") + panel_style(),
        tabs=tabs,
        panels="\n".join(texts),
        script=f"{panel_script()}\n{asset('page.js')}",
    )


class _Panels:
    """The panels of one page: kernels that several diagrams show stand in the first alone."""

    def __init__(self) -> None:
        self.holders: dict[tuple[str, ...], list[str | int]] = {}

    def panel(self, diagrams: Sequence[Diagram], name: str) -> str:
        data = [
            {
                "diagram": self._with_shared_sources(placed, [name, number]),
                "view": placed.view,
                "layout": placed.layout,
            }
            for number, placed in enumerate(place_all(diagrams))
        ]
        with_values = " with-values" if any(diagram.textbook for diagram in diagrams) else ""
        return (
            f'<section class="graph-panel{with_values}" id="{html.escape(name)}">'
            f'<script type="application/json">{script_json(data)}</script></section>'
        )

    def _with_shared_sources(self, placed: Placed, place: list[str | int]) -> dict[str, object]:
        """The diagram's data; instead of sources the panel and number of who has the same."""
        sources = placed.diagram.sources
        holder = self.holders.setdefault(tuple(sources.values()), place)
        if not sources or holder is place:
            return placed.data
        data = {name: each for name, each in placed.data.items() if name != "sources"}
        return {**data, "sources_in": holder}


def script_json(data: object) -> str:
    """JSON that may stand in a <script>: no tag ends it, and no comment opens in which none would.

    Source: HTML Standard, 4.12.1.3, Restrictions for contents of script elements.
    """
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
