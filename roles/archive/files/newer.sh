# Brings the frames here that were archived since a time before the backup: what no row of it knows carries its own, and
# of what was sent after it was made no row knows that the archive has it.
# With `measure`: only whether the target can be read, and whether there is room.
# KIND, HOST, PORT, LOGIN, FOLDER: the target; NAME: what it is called; NODE: whose frames; SINCE: seconds since 1970.
set -eu
umask 077
list=$(mktemp)
trap 'rm -f "$list"' EXIT
find="find frames -type f -name '*.jpg' -newermt @$SINCE"
shell="ssh -F none -p $PORT -o BatchMode=yes -o ConnectTimeout=20 -o IdentitiesOnly=yes -o StrictHostKeyChecking=yes"
shell="$shell -o GlobalKnownHostsFile=none -o UserKnownHostsFile=/etc/heliograph/keys/$NAME-known-hosts"
shell="$shell -i /etc/heliograph/keys/$NAME"
# a node that has sent nothing yet has no folder there
case "$KIND" in
rsync)
  # shellcheck disable=SC2086 # one word an option
  there() { $shell "$LOGIN@$HOST" "cd '$FOLDER' && { [ -d '$NODE/frames' ] || exit 0; } && cd '$NODE' && $1"; }
  case "$HOST" in *:*) bare="[$HOST]" ;; *) bare=$HOST ;; esac
  from="$LOGIN@$bare:$FOLDER/$NODE/"
  ;;
directory)
  there() { (cd "$FOLDER" && { [ -d "$NODE/frames" ] || exit 0; } && cd "$NODE" && sh -c "$1"); }
  from="$FOLDER/$NODE/"
  ;;
esac
there "$find -print0" > "$list"
test -s "$list" || exit 0
needed=$(there "$find -printf '%s\\n'" | awk '{ sum += $1 } END { printf "%d", sum / 1048576 }')
free=$(df --output=avail -m /var/lib/heliograph | tail -1)
if [ "$needed" -gt $((free * 8 / 10)) ]; then
  echo "$needed MiB of frames since then and $free MiB free: set node_restore_days lower" >&2
  exit 1
fi
[ "${1:-}" != measure ] || exit 0
rsync --from0 --files-from="$list" --times --ignore-existing --chown=heliograph:heliograph --chmod=D700,F600 \
  --rsh="$shell" --info=stats1 "$from" /var/lib/heliograph/
