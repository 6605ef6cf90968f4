#!/usr/bin/env bash
# Debian packages: which are missing, and how they come. The groups are in packages.txt.

# packages_of GROUP: its packages, one a line, those of the groups it names with @ included.
packages_of() {
  local group words word
  while read -r group words; do
    [[ "$group" == "$1" ]] || continue
    for word in $words; do
      if [[ "$word" == @* ]]; then packages_of "${word#@}"; else echo "$word"; fi
    done
  done < packages.txt
}

# missing_of PACKAGE...: those that are not installed, one a line.
missing_of() {
  local installed
  installed=$(dpkg-query -W -f '${db:Status-Abbrev} ${Package}\n' "$@" 2>/dev/null || true)
  comm -23 <(printf '%s\n' "$@" | sort -u) <(awk '$1 == "ii" {print $2}' <<< "$installed" | sort -u)
}

# need_packages GROUP: returns when all are there; installs what is missing, or ends with a
# sentence that says what to install by hand.
need_packages() {
  local packages missing
  mapfile -t packages < <(packages_of "$1" | sort -u)
  if ! command -v dpkg-query >/dev/null; then
    note "This is not Debian: what is needed is in packages.txt (groups $1 and those it names)."
    return
  fi
  mapfile -t missing < <(missing_of "${packages[@]}")
  ((${#missing[@]})) || return 0
  step packages "installing ${#missing[@]}: ${missing[*]}"
  install_packages "${missing[@]}"
}

install_packages() {
  local as_root=()
  if ((EUID != 0)); then
    command -v sudo >/dev/null || cannot_install "$@"
    as_root=(sudo)
  fi
  apt_get update || cannot_install "$@"
  apt_get install --no-install-recommends "$@" || cannot_install "$@"
}

# apt_get VERB ARGUMENT...: without questions; its output is kept, and shown when it fails.
apt_get() {
  mkdir -p build
  local options=(-q -y -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=120)
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get "${options[@]}" "$@" \
    < /dev/null > build/packages.log 2>&1 && return
  tail -n 15 build/packages.log >&2
  return 1
}

cannot_install() {
  fail "These packages are missing and could not be installed; as root: apt-get install $*"
}
