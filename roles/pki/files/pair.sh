# What was issued comes into force with the key that it is for: both lie in one folder, and a link to it changes.
# With `check FILE`: only whether this host has the key of that certificate.
set -eu
umask 077
tls=${PKI_TLS:-/etc/heliograph/tls}
cd "$tls" 2> /dev/null || { echo "there is no $tls" >&2; exit 1; }
issued=issued.pem
[ "${1:-}" != check ] || issued=$2

wanted=$(openssl x509 -in "$issued" -noout -pubkey)
key=
for found in node.key.new in-force/node.key; do
    if [ -f "$found" ] && [ "$(openssl pkey -in "$found" -pubout 2> /dev/null)" = "$wanted" ]; then
        key=$found
        break
    fi
done
[ -n "$key" ] || { echo "this host has no key of that certificate" >&2; exit 1; }
[ "${1:-}" != check ] || exit 0

if ! cmp -s issued.pem in-force/node.pem || [ "$key" = node.key.new ]; then
    pair=$(mktemp -d pair-XXXXXXXX)
    cp issued.pem "$pair/node.pem"
    cp "$key" "$pair/node.key"
    chgrp -R heliograph "$pair"
    chmod 0750 "$pair"
    chmod 0640 "$pair/node.key" "$pair/node.pem"
    sync "$pair/node.pem" "$pair/node.key" "$pair"
    ln -sfn "$pair" in-force.new
    mv -T in-force.new in-force
    sync .
fi
rm -f node.key.new node.key.part
for old in pair-*; do
    [ "$old" = "$(readlink in-force)" ] || rm -rf "$old"
done
! systemctl is-active --quiet heliograph-node.service || systemctl reload heliograph-node.service
