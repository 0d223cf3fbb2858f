"""What differs from one version of greeter to the next. Broken on purpose: this one is never healthy."""


def begin() -> None:
    """What is done before it serves."""
    print("no such table: greetings", flush=True)


def greeting() -> str:
    """The word."""
    return "sorry"


def healthy() -> bool:
    """Whether it works."""
    return False
