#!/usr/bin/env bash
# Builds what is released, for every platform, into bin/dist: static programs (the context of the image), an archive a platform
# with the systemd units, and SHA256SUMS. The same commit gives the same bytes.
#
#   deploy/image/dist.sh [VERSION]     VERSION is what git describe says unless given
set -euo pipefail
cd "$(dirname "$0")/../.."

dist=bin/dist
version=${1:-$(git describe --tags --always --dirty)}
made=$(git log -1 --format=%ct)
module=$(go list -m)

rm -rf "$dist"
mkdir -p "$dist/state" # the image's empty state directory
for arch in amd64 arm64; do
	for program in heliosproxy=./deploy/standalone helioctl=./controlplane/cmd/helioctl; do
		CGO_ENABLED=0 GOOS=linux GOARCH=$arch GOFLAGS=-mod=readonly go build -trimpath -buildvcs=false \
			-ldflags "-s -w -X $module/pkg/version.version=$version" -o "$dist/linux-$arch/${program%%=*}" "${program#*=}"
	done
	name=heliosproxy-$version-linux-$arch
	mkdir -p "$dist/$name"
	cp -r "$dist/linux-$arch" "$dist/$name/bin"
	cp -r deploy/systemd LICENSE README.md "$dist/$name"
	tar --create --sort=name --mtime="@$made" --owner=0 --group=0 --numeric-owner --mode=u=rwX,go=rX --directory="$dist" "$name" |
		gzip -9n >"$dist/$name.tar.gz"
	rm -r "${dist:?}/$name"
done
(cd "$dist" && sha256sum -- *.tar.gz >SHA256SUMS && cat SHA256SUMS)
