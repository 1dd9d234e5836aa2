"""What people who grade notebooks met, by kind, and the tests that ask for the right outcome."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
COURSES, HANDOUT, ANSWERS = [f"exercises/test_{name}.py" for name in ("courses", "handout", "answers")]
TABLE = {
    "an empty folder": (COURSES, "test_an_empty_folder_is_told_to_teacher_and_student"),
    "another assignment only": (
        COURSES,
        "test_a_student_who_handed_in_another_assignment_only_has_none_of_this",
    ),
    "Moodle's folders": (COURSES, "test_moodles_folders_are_its_students"),
    "Canvas's download": (COURSES, "test_the_latest_attempt_that_canvas_packed_counts"),
    "own numbers under another name": (COURSES, "test_any_name_of_the_roster_may_stand_in_the_notebook"),
    "own numbers under an e-mail address": (COURSES, "test_any_name_of_the_roster_may_stand_in_the_notebook"),
    "a mark without a blank": (HANDOUT, "test_a_solution_between_any_marks_is_cleared"),
    "a blank behind a mark": (HANDOUT, "test_a_solution_between_any_marks_is_cleared"),
    "no marks": (HANDOUT, "test_a_solution_between_any_marks_is_cleared"),
    "a written answer": (HANDOUT, "test_written_answers_and_mark_schemes_are_cleared"),
    "late names that are spelled in another way": (
        COURSES,
        "test_times_are_matched_by_name_and_what_does_not_match_is_told_first",
    ),
    "one student graded again": (COURSES, "test_one_student_graded_again_leaves_the_tables_whole"),
    "a second download": (COURSES, "test_of_two_downloads_the_later_counts_and_the_teacher_is_told"),
    "a newer Python": (
        COURSES,
        "test_what_a_newer_python_reads_is_right_or_for_the_teacher_never_silently_0",
    ),
    "feedback to a login with an accent": (
        COURSES,
        "test_feedback_returns_to_logins_with_accents_and_who_has_none_is_named",
    ),
    "a notebook of marimo": (COURSES, "test_a_notebook_of_marimo_is_graded"),
    "stray files": (COURSES, "test_what_systems_leave_beside_the_notebooks_is_no_student"),
    "a notebook one folder down": (
        COURSES,
        "test_a_notebook_one_folder_down_is_found_and_a_text_is_not_graded_for_it",
    ),
    "a backup of hard links": (COURSES, "test_a_backup_of_hard_links_costs_nobody_anything"),
    "NUL bytes": (COURSES, "test_nul_bytes_in_the_middle_are_passed_over"),
    "a pair": (COURSES, "test_one_notebook_of_a_pair_counts_for_both"),
    "lateness in nbgrader's gradebook": (
        "exercises/test_nbgrader.py",
        "test_our_results_are_written_into_nbgraders_gradebook",
    ),
    "an answer that raises": (ANSWERS, "test_a_test_can_ask_for_an_exception"),
    "the assignment is a notebook": (COURSES, "test_a_notebook_is_no_grading_file"),
    "most hand in the same": (COURSES, "test_files_that_are_the_same_are_named_however_many_they_are"),
    "answers of quizzes in exports": (
        "book/test_exports.py",
        "test_no_export_shows_an_answer_above_its_question",
    ),
    "columns in a proportional font": ("book/test_exports.py", "test_text_in_columns_brings_its_font_along"),
    "a table wider than the paper": ("browser/test_site.py", "test_nothing_is_cut_off_on_paper"),
    "Gradescope": ("exercises/test_gradescope.py", "test_a_submission_is_graded_and_the_fence_is_told"),
    "lines of Windows in a handout": (HANDOUT, "test_a_solution_between_any_marks_is_cleared"),
    "Brightspace's download": (
        COURSES,
        "test_brightspaces_folders_are_its_students_and_the_later_one_counts",
    ),
    "a tuple": (
        ANSWERS,
        "test_tuples_arrays_and_their_numbers_are_accepted_where_the_grading_file_says_so",
    ),
    "an extension": (COURSES, "test_an_extension_leaves_the_collectors_time_as_it_was"),
}

TABLES, OTHERS = "exercises/test_tables.py", "attacks/test_other_notebooks.py"
CHANGES = "exercises/test_course_changes.py"
REPORTS = {
    "jupyter/nbgrader 724: two notebooks in two attempts": (
        COURSES,
        "test_of_two_notebooks_of_the_latest_attempt_the_one_with_the_assignments_name_counts",
    ),
    "jupyter/nbgrader 928: a plus in the assignment's name": (
        COURSES,
        "test_an_assignment_with_a_plus_is_no_pair",
    ),
    "jupyter/nbgrader 1738, 1843: parentheses and brackets in it": (
        COURSES,
        "test_an_assignment_may_have_any_characters_in_its_name",
    ),
    "jupyter/nbgrader 1083: cells that were copied": (OTHERS, "test_copies_of_cells_cost_nothing"),
    "jupyter/nbgrader 1682, 1941: test cells that were deleted or converted": (
        OTHERS,
        "test_what_happens_to_a_test_cell_costs_nothing",
    ),
    "instructure/canvas-lms 2134: 'final' in a column's name": (
        COURSES,
        "test_a_column_that_canvas_passes_over_is_named",
    ),
    "edulinq/lms-toolkit 14: a student who is not in Canvas": (
        COURSES,
        "test_who_is_not_in_the_roster_is_told_before_anything_is_graded",
    ),
    "PrairieLearn 11896: numbers without their zeros": (
        TABLES,
        "test_a_number_without_its_zeros_is_asked_about_and_never_taken",
    ),
    "squell/bb-scripts 54: a name in a wrong encoding": (
        COURSES,
        "test_who_is_not_certain_is_asked_about_and_given_to_no_one",
    ),
    "CodeGra.de 280: Blackboard's logins of any characters": (
        COURSES,
        "test_the_student_is_who_the_name_says",
    ),
    "hei-school/hei-admin-api 1323: a decimal comma": (
        COURSES,
        "test_points_for_who_handed_in_nothing_count_and_are_no_submission",
    ),
    "otter-grader 722: a notebook that was renamed": (
        COURSES,
        "test_a_notebook_that_was_renamed_in_the_folder_of_its_assignment_is_graded",
    ),
    "TU-Wien-dataLAB/grader-service 238: a due time that changes after grading": (
        CHANGES,
        "test_an_extension_that_is_given_after_grading_counts",
    ),
    "pawtograder/platform 293, sakai 3471: students who have left": (
        CHANGES,
        "test_who_has_left_is_told_and_not_given_to_other_systems",
    ),
    "autolab/Autolab 588, 901: a student who comes back": (
        CHANGES,
        "test_who_left_and_comes_back_is_in_the_course_again",
    ),
    "quickfeed 1440: a student who joins a group later": (
        CHANGES,
        "test_who_joins_a_group_later_has_its_result",
    ),
    "PrairieLearn 14692: files with the name of a group": (
        CHANGES,
        "test_what_has_the_name_of_a_group_counts_for_the_group",
    ),
    "hit-moodle/moodle 3: Chinese names in a zip file": (
        CHANGES,
        "test_a_name_that_an_archive_has_garbled_is_asked_about",
    ),
    "autolab/Autolab 581: one address of two students": (
        CHANGES,
        "test_an_address_that_two_students_have_is_told",
    ),
    "otter-grader 442: a notebook for another assignment": (
        CHANGES,
        "test_a_notebook_with_few_functions_of_the_assignment_is_told_to_the_teacher",
    ),
    "unc-csxl/csxl.unc.edu 624: another line in Canvas's gradebook": (
        TABLES,
        "test_lines_of_a_gradebook_that_are_no_students_are_passed_over",
    ),
    "ls1intum/Artemis 4939: the columns of a campus system": (
        TABLES,
        "test_columns_of_a_campus_system_are_read",
    ),
    "jupyter/nbgrader 1353, 1398: tests of 0 points, notebooks without metadata": (
        OTHERS,
        "test_a_test_cell_without_points_and_notebooks_without_names_of_cells_are_graded",
    ),
    "apluslms/a-plus 1287, Submitty 10014, autolab/Autolab 932: days when the clocks change": (
        CHANGES,
        "test_a_day_ends_at_the_same_hour_in_a_zone",
    ),
    "eecs-autograder/autograder.io 29: an extension that ends before the new due time": (
        CHANGES,
        "test_a_due_time_of_the_week_before_is_told",
    ),
    "matthigger/gradescope_auto_py 13: the points that Gradescope must be told": (
        "exercises/test_gradescope.py",
        "test_the_command_says_what_gradescope_must_be_told",
    ),
    "PrairieLearn 4064: a table of points that changes nothing": (
        CHANGES,
        "test_columns_that_nothing_reads_are_named_in_every_table",
    ),
    "RunestoneServer 1013: grading again replaces points by hand": (
        COURSES,
        "test_points_by_hand_and_a_comment_count_and_stay",
    ),
    "UM-USElab/gradecraft-development 4500: pages of a group": (
        CHANGES,
        "test_each_member_of_a_group_gets_its_page_back_from_moodle",
    ),
}
"""Public reports that were played, and the test of each."""


@pytest.mark.parametrize("case", TABLE | REPORTS)
def test_every_kind_has_its_test(case):
    file, name = (TABLE | REPORTS)[case]
    tree = ast.parse((TESTS / file).read_text(encoding="utf-8"))
    assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
