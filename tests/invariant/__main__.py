"""``python -m tests.invariant 'Stream(…)'`` plays one stream, and prints what follows each of its steps."""

import sys

from cli.process_end import end_process
from tests.invariant import stream as words
from tests.invariant.world import search


def main() -> int:
    names = {name: getattr(words, name) for name in dir(words) if name[0].isupper()}
    stream = eval(sys.argv[1], {"__builtins__": {}}, names)  # the repr of a stream, typed by a developer
    with search(print) as faults:
        found = faults(stream)
    for line in found:
        print(f"VIOLATION {line}")
    return bool(found)


if __name__ == "__main__":
    code = main()
    end_process(SystemExit(code))
    sys.exit(code)
