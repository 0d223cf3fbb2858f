"""What differs from one version of greeter to the next."""


def begin() -> None:
    """What is done before it serves."""
    print("good day", flush=True)


def greeting() -> str:
    """The word."""
    return "welcome"


def healthy() -> bool:
    """Whether it works."""
    return True
