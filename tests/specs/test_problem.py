"""How a problem reads."""

from specs.problem import Problem


def test_a_problem_reads_like_a_compilers_message():
    problem = Problem("apps/web/app.yaml", "must be 1..65535", "health.port", 7, 3)
    assert str(problem) == "apps/web/app.yaml:7:3: health.port: must be 1..65535"


def test_a_problem_of_a_whole_file_has_no_line():
    assert str(Problem("apps/web/app.yaml", "is larger than 1 MB")) == "apps/web/app.yaml: is larger than 1 MB"
