# Stops the node for good and takes away the paths given.
set -eu
for unit in heliograph-node heliograph-worker heliograph-ship; do
    ! systemctl cat "$unit.service" > /dev/null 2>&1 || systemctl disable --quiet --now "$unit.service"
done
# it has another name first: nothing starts from half of it, and the next run ends what was begun
wipe() {
    [ -e "$1.wiping" ] || return 0
    find "$1.wiping" -type f -exec shred --remove=unlink {} +
    rm -rf "$1.wiping"
    echo "wiped $1"
}
for path; do
    wipe "$path"
    [ -e "$path" ] || continue
    mv -T "$path" "$path.wiping"
    wipe "$path"
done
sync
