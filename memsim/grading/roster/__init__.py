"""Who is in the course: the roster, and how learning management systems name what students hand in."""
