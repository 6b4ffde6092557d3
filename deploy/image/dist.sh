#!/usr/bin/env bash
# Builds what is released, for every platform, into bin/dist: static programs (the context of the image), an archive a platform
# with the systemd units, and SHA256SUMS. The same commit and the same C compiler give the same bytes.
#
# PostgreSQL's grammar, which heliosproxy reads SQL with, is in C: a C compiler is needed for each platform.
#
#   deploy/image/dist.sh [VERSION]     VERSION is what git describe says unless given
set -euo pipefail
cd "$(dirname "$0")/../.."

dist=bin/dist
version=${1:-$(git describe --tags --always --dirty)}
made=$(git log -1 --format=%ct)
module=$(go list -m)

declare -A compilers=([amd64]=x86_64-linux-gnu-gcc [arm64]=aarch64-linux-gnu-gcc)
for cc in "${compilers[@]}"; do
	command -v "$cc" >/dev/null || { echo "dist: there is no $cc: apt-get install gcc-x86-64-linux-gnu gcc-aarch64-linux-gnu" >&2; exit 1; }
done

rm -rf "$dist"
mkdir -p "$dist/state" # the image's empty state directory
flags="-s -w -X $module/pkg/version.version=$version"

# build ARCH NAME PACKAGE FLAG... builds one program.
build() {
	local arch=$1 name=$2 package=$3
	shift 3
	GOOS=linux GOARCH=$arch GOFLAGS=-mod=readonly go build -trimpath -buildvcs=false "$@" -o "$dist/linux-$arch/$name" "$package"
}

for arch in amd64 arm64; do
	# Names and users are looked up by Go's own code: what a static program has of the C library cannot.
	CGO_ENABLED=1 CC=${compilers[$arch]} build "$arch" heliosproxy ./deploy/standalone -tags netgo,osusergo \
		-ldflags "$flags -linkmode external -extldflags '-static -Wl,--build-id=none'"
	CGO_ENABLED=0 build "$arch" helioctl ./controlplane/cmd/helioctl -ldflags "$flags"
	name=heliosproxy-$version-linux-$arch
	mkdir -p "$dist/$name"
	cp -r "$dist/linux-$arch" "$dist/$name/bin"
	cp -r deploy/systemd LICENSE README.md "$dist/$name"
	tar --create --sort=name --mtime="@$made" --owner=0 --group=0 --numeric-owner --mode=u=rwX,go=rX --directory="$dist" "$name" |
		gzip -9n >"$dist/$name.tar.gz"
	rm -r "${dist:?}/$name"
done
(cd "$dist" && sha256sum -- *.tar.gz >SHA256SUMS && cat SHA256SUMS)
