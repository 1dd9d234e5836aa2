"""What a grading run leaves behind: results, tables, feedback."""
