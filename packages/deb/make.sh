#!/usr/bin/env bash
# The Debian package, by debhelper, from a source tree that holds the built program.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
for tool in dh dpkg-shlibdeps; do
  command -v "$tool" >/dev/null || { echo "error: \`$tool\` is not installed" >&2; echo "hint: apt-get install debhelper dpkg-dev" >&2; exit 1; }
done
declare -A architectures=([x86_64]=amd64 [aarch64]=arm64)

tree=$WORK/deb/tidegate
cp -r "$FILES" "$tree"
cp -r "$here"/{debian,etc,tidegate.1} "$tree"
cat > "$tree/debian/changelog" <<END
tidegate ($VERSION-1) unstable; urgency=medium

  * Version $VERSION; CHANGELOG.md of the source says what is new.

 -- Tidegate <tidegate@localhost>  $(LC_ALL=C date -u -R -d "@$SOURCE_DATE_EPOCH")
END
cd "$tree"
DEB_HOST_ARCH=${architectures[$MACHINE]} fakeroot debian/rules binary > "$WORK/deb/log" 2>&1 || { cat "$WORK/deb/log" >&2; exit 1; }
mv "$WORK/deb"/*.deb "$OUT"
