"""What a user sets in the environment."""


class SettingError(ValueError):
    """A variable of the environment whose value is none that it can have.

    The message names the variable, its value and what is expected.
    """

    def __init__(self, variable: str, value: str, expected: str) -> None:
        super().__init__(f"{variable}={value!r}: expected {expected}")
