"""Problems to be done on paper, as many as one likes: ``ask`` poses one, ``answer`` runs the simulator.

>>> from memsim.lesson.problems import answer, ask
>>> ask("page-type", seed=7)
Problem page-type, seed 7
  Kernel 6.12 keeps the type of a page in the 32 bits of `page_type`, as a number in the top byte:
  Buddy 0xf0, Offline 0xf1, Table 0xf2, Guard 0xf3.
  page_type of a page of type Buddy: ?
  page_type of a page without a type: ?
  type of a page whose page_type is 0xf3000000: ?
Solve it on paper first. To check: from memsim.lesson import answer; answer("page-type", seed=7)

The same kind and seed always give the same problem. Nothing is stored: an answer is found by doing what
the question says to a simulated machine.
"""

from memsim.lesson.problems.problem import Problem
from memsim.lesson.problems.registry import KINDS, answer, ask, problem

__all__ = ["KINDS", "Problem", "answer", "ask", "problem"]
