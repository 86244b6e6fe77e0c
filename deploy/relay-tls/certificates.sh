#!/bin/sh
# Certificates for deploy/relay-tls, of two authorities that it makes in FOLDER: secrets.yaml for the cluster, and for whoever asks
# the relay client.crt, client.key and clients-ca.crt. Run again it makes new certificates of the same authorities.
#
#   ./certificates.sh FOLDER && kubectl apply -f FOLDER/secrets.yaml
#
# CLUSTER is what --cluster-name of the relay says (default), NAMESPACE where both run (netdrop), DAYS how long certificates hold (365).
set -eu
folder=${1:?name a folder for keys and certificates, which nobody else may read}
cluster=${CLUSTER:-default} namespace=${NAMESPACE:-netdrop} days=${DAYS:-365}
umask 077
mkdir -p "$folder"
cd "$folder"

key() {
    openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1"
}

# An authority: NAME-ca.crt and NAME-ca.key.
authority() {
    [ -e "$1-ca.key" ] && return
    key "$1-ca.key"
    openssl req -x509 -new -key "$1-ca.key" -days 3650 -subj "/CN=netdrop $1" -out "$1-ca.crt"
}

# A certificate: authority, file, what for, names.
certificate() {
    key "$2.key"
    openssl req -new -key "$2.key" -subj "/CN=netdrop $2" -out "$2.csr"
    printf 'basicConstraints=critical,CA:FALSE\nextendedKeyUsage=%s\nsubjectAltName=%s\n' "$3" "$4" >"$2.ext"
    openssl x509 -req -in "$2.csr" -CA "$1-ca.crt" -CAkey "$1-ca.key" -CAcreateserial -days "$days" -extfile "$2.ext" \
        -out "$2.crt" 2>openssl.log || { cat openssl.log >&2; exit 1; }
    rm -f "$2.csr" "$2.ext" openssl.log
}

# A secret: its name, the certificate's file, the authority that it trusts.
secret() {
    printf '%s\n' --- 'apiVersion: v1' 'kind: Secret' 'type: kubernetes.io/tls' \
        "metadata: {name: $1, namespace: $namespace}" 'data:'
    for entry in "tls.crt $2.crt" "tls.key $2.key" "ca.crt $3-ca.crt"; do
        printf '  %s: %s\n' "${entry% *}" "$(openssl base64 -A -in "${entry#* }")"
    done
}

# Between agents and relay, and between the relay and its clients: whoever may ask the relay can't ask an agent.
authority nodes
authority clients
certificate nodes agent serverAuth "DNS:*.$cluster.hubble-grpc.cilium.io"
certificate nodes relay-client clientAuth DNS:netdrop-relay
relay=netdrop-relay.$namespace
certificate clients relay serverAuth \
    "DNS:netdrop-relay,DNS:$relay,DNS:$relay.svc,DNS:$relay.svc.cluster.local,DNS:*.hubble-relay.cilium.io,DNS:localhost"
certificate clients client clientAuth DNS:client
{
    secret netdrop-agent-tls agent nodes
    secret netdrop-relay-client-tls relay-client nodes
    secret netdrop-relay-server-tls relay clients
} >secrets.yaml
