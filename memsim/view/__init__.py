"""What people see: states as text, as figures, and as something to move through.

=================  =====================================================================================
``model``          pages, blocks, counters and free lists as plain data, and in words
``draw``           page maps and tables as SVG and HTML
``charts``         the charts and diagrams of the chapters
``patch``          hunks and functions as source
``lab``            what the widgets share; their scripts and style sheets stand in ``static`` beside them
``explorer``       two kernels, moment by moment
``buddy_lab``      a small zone to allocate and free in
``driver_lab``     a driver's records beside the kernel's pages
``half_patch``     a kernel with some of the hunks, and the matrix of all
``decode``         the bits of a word
=================  =====================================================================================

Nothing is imported here: ``model`` needs numpy alone, the widgets ipywidgets.
"""
