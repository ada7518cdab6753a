"""Pages that say what a run did: one self-contained HTML file, charts drawn as inline SVG.

Needs jinja2 and numpy. A page is made of `blocks`, drawn by `chart`, written by `render`.
"""
