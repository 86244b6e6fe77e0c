//! Keys, certificates and the admin's kubeconfig.

use std::fs;

use anyhow::Context as _;

use super::STATE;
use super::host::address;
use crate::shell::q;

fn openssl(words: &str) -> anyhow::Result<()> {
    q("openssl", words.split_whitespace()).map(drop)
}

/// Makes them all.
pub fn make() -> anyhow::Result<()> {
    let pki = format!("{STATE}/pki");
    openssl(&format!(
        "req -x509 -newkey rsa:2048 -nodes -keyout {pki}/ca.key -out {pki}/ca.crt -subj /CN=ca -days 30"
    ))?;
    openssl(&format!("genrsa -out {pki}/sa.key 2048"))?;
    openssl(&format!("rsa -in {pki}/sa.key -pubout -out {pki}/sa.pub"))?;
    let names = format!("IP:{},IP:127.0.0.1,IP:10.213.0.1,DNS:kubernetes.default.svc", address(0));
    certificate("api", "/CN=kube-apiserver", &names)?;
    certificate("admin", "/O=system:masters/CN=admin", "DNS:admin")?;
    kubeconfig()
}

fn certificate(name: &str, subject: &str, names: &str) -> anyhow::Result<()> {
    let pki = format!("{STATE}/pki");
    openssl(&format!(
        "req -newkey rsa:2048 -nodes -keyout {pki}/{name}.key -out {pki}/{name}.csr -subj {subject}"
    ))?;
    let extensions = format!("{pki}/{name}.ext");
    fs::write(&extensions, format!("subjectAltName={names}\nextendedKeyUsage=serverAuth,clientAuth\n"))?;
    openssl(&format!(
        "x509 -req -in {pki}/{name}.csr -CA {pki}/ca.crt -CAkey {pki}/ca.key -CAcreateserial -days 30 -out {pki}/{name}.crt \
         -extfile {extensions}"
    ))
}

fn kubeconfig() -> anyhow::Result<()> {
    let pki = format!("{STATE}/pki");
    let server = address(0);
    let text = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: admin\n\
         clusters:\n- name: netdrop\n  cluster: {{server: \"https://{server}:6443\", certificate-authority: {pki}/ca.crt}}\n\
         users:\n- name: admin\n  user: {{client-certificate: {pki}/admin.crt, client-key: {pki}/admin.key}}\n\
         contexts:\n- name: admin\n  context: {{cluster: netdrop, user: admin}}\n"
    );
    fs::write(format!("{STATE}/admin.conf"), text).context("cannot write the kubeconfig")
}
