"""What people see: states as text, as figures, and as something to move through.

Nothing is imported here: ``view.text`` needs numpy alone, ``view.figures`` plotly, ``view.explorer``
ipywidgets.
"""
