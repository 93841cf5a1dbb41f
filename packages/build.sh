#!/usr/bin/env bash
# Makes the packages that contain the binary: archive, deb, npm and wheel, all of one binary.
#
#   packages/build.sh                            builds the binary and makes every package, in target/packages
#   packages/build.sh deb npm                    only these
#   packages/build.sh --profile distribution     with the profile of what is shipped; default: release
#   packages/build.sh --binary PATH              of a binary that is built already
#   packages/build.sh --out DIR                  in another directory
set -euo pipefail
packages=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$packages")
target_directory=${CARGO_TARGET_DIR:-$root/target}
binary=
profile=
out=
targets=()

fail() { echo "error: $1" >&2; echo "hint: $2" >&2; exit 1; }
require() { command -v "$1" >/dev/null || fail "\`$1\` is not installed" "$2"; }

while (($#)); do
  case $1 in
    --binary | --profile | --out)
      (($# > 1)) || fail "\`$1\` needs a value" "the first lines of packages/build.sh list the options"
      printf -v "${1#--}" '%s' "$2"
      shift
      ;;
    archive | deb | npm | wheel) targets+=("$1") ;;
    -h | --help) sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0"; exit ;;
    *) fail "no package is called \`$1\`" "archive, deb, npm or wheel; without a name all of them" ;;
  esac
  shift
done
((${#targets[@]})) || targets=(archive deb npm wheel)
[[ -z $binary || -z $profile ]] || fail "\`--binary\` and \`--profile\` exclude each other" "a binary that is built already has its profile"
[[ ${profile:-release} == release || ${profile:-} == distribution ]] || fail "no profile for packages is called \`$profile\`" "release or distribution"

require node "install Node 20 or later: https://nodejs.org"
require cargo "install Rust with rustup: https://rustup.rs"
require strip "install binutils (Debian: binutils)"

# The page is part of the binary, so it is built first.
build_page() {
  [[ -f $root/host/dashboard/package.json ]] || return 0
  [[ -d $root/node_modules ]] || (cd "$root" && npm ci --silent --no-audit --no-fund)
  (cd "$root" && npm run --silent build -w host/dashboard)
}

if [[ -z $binary ]]; then
  profile=${profile:-release}
  build_page
  (cd "$root" && cargo build --locked --profile "$profile" --bin tidegate)
  binary=$target_directory/$profile/tidegate
fi
[[ -x $binary ]] || fail "\`$binary\` is no program" "build it: cargo build --release"

# A field of the first bytes of the binary.
elf() { od -An -t u"$2" -j "$1" -N "$2" "$binary" | tr -d ' '; }
[[ $(head -c 4 "$binary" | tail -c 3) == ELF ]] || fail "\`$binary\` is no program for Linux" "packages are made for Linux"
case $(elf 18 2) in
  62) machine=x86_64 ;;
  183) machine=aarch64 ;;
  *) fail "no package for the machine of \`$binary\`" "packages are made for x86_64 and aarch64" ;;
esac
# The libc that it is linked with; without an interpreter it needs none.
libc=none
! grep -qa -m1 '/ld-linux' <(head -c 4096 "$binary") || libc=gnu
! grep -qa -m1 '/ld-musl' <(head -c 4096 "$binary") || libc=musl

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
out=$(mkdir -p "${out:-$target_directory/packages}" && cd "${out:-$target_directory/packages}" && pwd)
version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' "$root/Cargo.toml")
# Every file in a package has the time of the commit, so that the same input gives the same bytes.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git -C "$root" log -1 --format=%ct 2>/dev/null || echo 315532800)}
export SOURCE_DATE_EPOCH TARGET_DIRECTORY=$target_directory ROOT=$root OUT=$out VERSION=$version MACHINE=$machine LIBC=$libc FILES=$work/files WORK=$work

# What every package contains.
umask 022
mkdir "$FILES"
cp "$root/LICENSE" "$packages/README.txt" "$FILES"
strip --strip-all -o "$FILES/tidegate" "$binary"
chmod 755 "$FILES/tidegate"
node "$packages/notices.mjs" > "$FILES/THIRD-PARTY.txt"

for target in "${targets[@]}"; do
  mkdir "$WORK/$target"
  case $target in
    npm) node "$packages/npm/make.mjs" ;;
    *) "$packages/$target/make.sh" ;;
  esac
done
(cd "$out" && find . -maxdepth 1 -type f ! -name SHA256SUMS -printf '%f\n' | LC_ALL=C sort | xargs -d '\n' sha256sum > SHA256SUMS)
echo "made in $out:"
cat "$out/SHA256SUMS"
