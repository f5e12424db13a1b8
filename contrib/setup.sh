# shellcheck shell=bash disable=SC2034
# Shared by contrib/demo and contrib/test; sourced, never run. bash, git and sudo are all it assumes.
# After sourcing: $tree, $builder_uid and the functions below. Nothing is done yet.

export PATH="$PATH:/usr/sbin:/sbin"
export LC_ALL=C.UTF-8
tree=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
installed_packages=()

# Who builds: with sudo the user who called it, so that build/ belongs to that user afterwards.
if [ "$(id -u)" = 0 ]; then
  builder_uid=${SUDO_UID:-0} builder_gid=${SUDO_GID:-0}
else
  builder_uid=$(id -u) builder_gid=$(id -g)
fi

say() { printf '%s\n' "$*"; }
heading() { printf '\n== %s\n' "$*"; }

# Runs a command as the builder, in the builder's home.
as_builder() {
  if [ "$(id -u)" = "$builder_uid" ]; then
    "$@"
  else
    local home name
    home=$(getent passwd "$builder_uid" | cut -d: -f6)
    name=$(getent passwd "$builder_uid" | cut -d: -f1)
    setpriv --reuid="$builder_uid" --regid="$builder_gid" --init-groups \
      env HOME="${home:-/}" USER="$name" LOGNAME="$name" "$@"
  fi
}

# Names the packages of the given groups that are not installed, one per line.
missing_packages() {
  local group package rest wanted
  wanted=" $* "
  while read -r group package rest; do
    case "$group" in '' | '#'*) continue ;; esac
    case "$wanted" in *" $group "*) ;; *) continue ;; esac
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || printf '%s\n' "$package"
  done <"$tree/contrib/packages"
}

# Installs what is missing of these groups; without root says what that is, and returns 1.
need_packages() {
  local missing
  if ! command -v dpkg-query >/dev/null; then
    say "not a Debian system: the packages of contrib/packages are up to you"
    return 0
  fi
  mapfile -t missing < <(missing_packages "$@")
  [ "${#missing[@]}" -gt 0 ] || { say "every package is there"; return 0; }
  if [ "$(id -u)" != 0 ]; then
    say "missing packages: ${missing[*]}"
    say "install them with: sudo apt-get install ${missing[*]}"
    return 1
  fi
  say "installing: ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -q </dev/null &&
    without_services apt-get install -q -y --no-install-recommends "${missing[@]}" </dev/null || return 1
  installed_packages+=("${missing[@]}")
}

# Runs a command while Debian's packages start no service: a test machine wants the programs of sshd and
# exim, not a login and a mail server. Where an administrator's own policy stands, that one decides.
without_services() {
  local policy=/usr/sbin/policy-rc.d status=0
  [ ! -e "$policy" ] || { "$@"; return; }
  printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod 755 "$policy" || return 1
  "$@" || status=$?
  rm -f "$policy"
  return "$status"
}

# configure DIR [meson arguments]: a build directory of the builder's, made anew when it is unusable.
configure() {
  local directory=$1 parent made=1
  shift
  parent=$tree/build
  [ -d "$parent" ] || { mkdir "$parent" && chown "$builder_uid:$builder_gid" "$parent" || return 1; }
  # A run as plain root may have left this one behind, not writable for anybody else.
  if [ "$(id -u)" = 0 ]; then
    mkdir -p "$directory" && chown -R -h "$builder_uid:$builder_gid" "$directory" || return 1
  fi
  [ ! -f "$directory/build.ninja" ] || made=0
  if [ "$made" = 1 ]; then
    as_builder meson setup "$directory" "$tree" "$@"
  else
    # The same switches again: no change when they are the same.
    as_builder meson configure "$directory" "$@" || { rm -rf "${directory:?}" && configure "$directory" "$@"; }
  fi
}
