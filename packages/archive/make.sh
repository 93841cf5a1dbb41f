#!/usr/bin/env bash
# The archive: the program and its licences in one directory. The same input gives the same bytes.
set -euo pipefail
suffix=linux
[[ $LIBC == none ]] || suffix=linux-$LIBC
name=tidegate-$VERSION-$MACHINE-$suffix
cp -a "$FILES" "$WORK/archive/$name"
tar --create --directory "$WORK/archive" --sort=name --format=ustar --mtime="@$SOURCE_DATE_EPOCH" \
  --owner=0 --group=0 --numeric-owner --mode=u=rwX,go=rX "$name" | gzip --no-name > "$OUT/$name.tar.gz"
