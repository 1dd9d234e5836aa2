"""What real kernels and machines print, read and explained.

:func:`memsim.explain` (:mod:`memsim.real.explanation`) explains a kernel log page by page, as
``memsim explain FILE`` does. What was printed about a page (``dump_page()`` and others, Linux 3.10 to 7.3) is
read with the tables of the version and the layout that the printed numbers give; then checked against itself;
then shown to each reader of struct pages. Every sentence says whether the kernel printed it, whether it was
read from a word, or concluded.

:mod:`memsim.real.real_machine` makes a scenario of the files of a real machine, as
``memsim machine --from DIR`` does; :mod:`memsim.real.word` takes a single word apart.
"""
