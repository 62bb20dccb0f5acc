# shellcheck shell=sh
# Hides the folders in which a host keeps programs: $1 is a folder for what this needs
# itself, and what follows is run in the end.
umask 022
work=$1; shift
cp "$(command -v mount)" "$work/mount"
this=$(readlink -f "$1")
hidden=
for folder in /usr/local/sbin /usr/local/bin /usr/sbin /usr/bin /sbin /bin /usr/games /usr/libexec /opt /snap /nix; do
    # /bin may be another name of /usr/bin.
    real=$(readlink -f "$folder") || continue
    [ -d "$real" ] || continue
    case $this in "$real"/*) continue ;; esac
    case " $hidden " in *" $real "*) ;; *) hidden="$hidden $real" ;; esac
done
for folder in $hidden; do
    "$work/mount" -t tmpfs tmpfs "$folder"
done
umask 077
exec "$@"
