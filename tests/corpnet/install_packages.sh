#!/bin/sh
# Installs what the corporate network and its tests need; Debian 12, and as well as
# it goes Debian 13 and Ubuntu 24.04, where some packages do not exist by that name.
# Services are not started. Does nothing when everything is there.
#   install_packages.sh [PACKAGE...]    these packages in place of those
set -eu

packages='krb5-kdc krb5-admin-server krb5-user squid-openssl
  samba samba-ad-dc samba-ad-provision samba-dsdb-modules samba-vfs-modules
  winbind python3-samba ldb-tools libnss-wrapper libuid-wrapper openssl
  dbus gnome-keyring dconf-gsettings-backend gsettings-desktop-schemas libglib2.0-bin
  dante-server microsocks python3-twisted
  dnsmasq-base isc-dhcp-client dhcpcd-base libfaketime'
# Installed only if the command is missing: it may well come from elsewhere.
commands='chromium git curl wget lftp node:nodejs npm fish zsh mandoc mvn:maven gradle ip:iproute2'
# Looks for what keeps people from using the status page; for all users, by npm.
axe=axe-core@4.14.1
if [ $# -gt 0 ]; then packages=$* commands= axe=; fi
policy=/usr/sbin/policy-rc.d

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

is_installed() {
  [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

exists() {
  apt-cache policy "$1" | grep -q 'Candidate: [^(]'
}

restore_policy() {
  as_root rm -f "$policy"
  if as_root test -e "$policy.corpnet"; then as_root mv "$policy.corpnet" "$policy"; fi
}

forbid_service_starts() {
  if as_root test -e "$policy" && ! as_root test -e "$policy.corpnet"; then as_root mv "$policy" "$policy.corpnet"; fi
  trap restore_policy EXIT
  trap 'exit 1' HUP INT TERM
  printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
  as_root chmod 755 "$policy"
}

has_axe() {
  [ -e /usr/local/lib/node_modules/axe-core/axe.min.js ] || [ -e /usr/lib/node_modules/axe-core/axe.min.js ]
}

install_wanted() {
  as_root apt-get update -q
  available=
  for package in $wanted; do
    if exists "$package"; then
      available="$available $package"
    else
      echo "no package $package here: left out" >&2
    fi
  done
  [ -n "$available" ] || return 0

  forbid_service_starts
  # shellcheck disable=SC2086 # a list of words
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $available
}

wanted=
for package in $packages; do
  is_installed "$package" || wanted="$wanted $package"
done
for command in $commands; do
  command -v "${command%:*}" >/dev/null || wanted="$wanted ${command#*:}"
done
if [ -n "$wanted" ]; then install_wanted; fi
if [ -n "$axe" ] && ! has_axe; then
  as_root npm install --global --silent --no-audit --no-fund --ignore-scripts "$axe"
fi
