"""What the reading has to say before training."""


class Notes:
    """Remarks on files; the same remark on many files of a folder becomes one line."""

    def __init__(self) -> None:
        self._names: dict[str, dict[str, None]] = {}

    def add(self, name: str, remark: str) -> None:
        """Remembers `remark` on the file `name`, once."""
        self._names.setdefault(remark, {})[name] = None

    def extend(self, others: "Notes") -> None:
        """Remembers all that `others` do."""
        for remark, names in others._names.items():
            self._names.setdefault(remark, {}).update(names)

    def lines(self) -> tuple[str, ...]:
        """One line per remark, in the order of their first mention."""
        return tuple(
            f"{next(iter(names))}{f' and {len(names) - 1} more' if len(names) > 1 else ''}: {remark}"
            for remark, names in self._names.items()
        )
