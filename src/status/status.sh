#!/bin/sh
# What `imagebuild status` runs on a server, as its admin: facts, a line each. No single quote may
# stand here: the whole stands in a pair.
export LC_ALL=C
fact() { printf "fact %s %s\n" "$1" "$2"; }
IMAGE_ID=
IMAGE_VERSION=
. /etc/os-release
fact image "$IMAGE_ID"
fact version "$IMAGE_VERSION"
fact slot "$(cat /run/imagebuild/slot 2>/dev/null)"
read -r up _ </proc/uptime
fact up "${up%%.*}"
fact kernel "$(uname -r)"
# Those on the loopback are answered on behalf of a director, not held.
ip -o address show scope global | while read -r _ interface _ address _; do
    [ "$interface" = lo ] || fact address "${address%%/*}"
done
sudo -n imagebuild-check 2>/dev/null | while read -r line; do fact check "$line"; done
systemctl --failed --plain --no-legend | while read -r unit _; do fact failed "$unit"; done
df -P /var /var/lib/mysql 2>/dev/null | while read -r _ _ _ _ full place; do
    case $full in *%) fact full "${full%?} $place" ;; esac
done
if [ -x /usr/sbin/imagebuild-replication ]; then
    sudo -n imagebuild-replication status 2>/dev/null | while read -r line; do fact pair "$line"; done
fi
fact end .
