#!/bin/sh
# One would guess: `publish(topic: Topic[P], payload: P)` types a dict that is written in the call by the topic's TypedDict.
# Real: mypy reads the dict before it knows `P`, and refuses the right payload as the wrong one, in the same words; pyright takes the right one.
# Here: a publication is made by a method of the topic (`topic.of({...})`), whose `P` is known: right is taken, wrong is refused with its key.
set -eu
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
cd "$here"
python3 -m venv python
python/bin/pip install --quiet --disable-pip-version-check mypy==2.4.1
npm init -y >/dev/null
npm install --silent --no-audit --no-fund pyright@1.1.414

cat >typed.py <<'PY'
from typing import Generic, TypedDict, TypeVar

P = TypeVar("P")

class Article(TypedDict):
    id: str

class Topic(Generic[P]):
    def of(self, payload: P) -> P:
        return payload

def publish(topic: Topic[P], payload: P) -> None: ...

feed: Topic[Article] = Topic()
publish(feed, {"id": "7"})  # right
publish(feed, {"id": 7})  # wrong
feed.of({"id": "7"})  # right
feed.of({"id": 7})  # wrong
PY

{
  echo "mypy 2.4.1"
  python/bin/mypy --strict --cache-dir /dev/null typed.py || true
  echo "pyright 1.1.414"
  npx pyright typed.py | sed -n 's/.*typed.py:\([0-9]*\).* - error: .* in function "\(.*\)"/line \1, \2/p'
} | tee seen
cat >expected <<'SEEN'
mypy 2.4.1
typed.py:15: error: Cannot infer value of type parameter "P" of "publish"  [misc]
typed.py:16: error: Cannot infer value of type parameter "P" of "publish"  [misc]
typed.py:18: error: Incompatible types (expression has type "int", TypedDict item "id" has type "str")  [typeddict-item]
Found 3 errors in 1 file (checked 1 source file)
pyright 1.1.414
line 16, publish
line 18, of
SEEN
diff expected seen
