# Stops the node for good and takes away the paths given.
set -eu
for unit in heliograph-node heliograph-worker heliograph-ship; do
    ! systemctl cat "$unit.service" > /dev/null 2>&1 || systemctl disable --quiet --now "$unit.service"
done
for path; do
    [ -e "$path" ] || continue
    find "$path" -type f -exec shred --remove=unlink {} +
    rm -rf "$path"
    echo "wiped $path"
done
sync
